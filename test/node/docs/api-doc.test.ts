import { expect, it } from 'vitest';
import { apiPage, undocumented } from './api-doc.ts';

it('Every honoured and harmless field says what it does', () => {
  expect(undocumented()).toEqual([]);
});

it('docs/api.md is what the table says', async () => {
  await expect(apiPage()).toMatchFileSnapshot('../../../docs/api.md');
});
