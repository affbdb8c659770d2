import { expect, it } from 'vitest';
import { apiPage, undocumented } from './api-doc.ts';

it('every honoured and harmless field is documented', () => {
  expect(undocumented()).toEqual([]);
});

it('docs/api.md is up to date', async () => {
  await expect(apiPage()).toMatchFileSnapshot('../../../docs/api.md');
});
