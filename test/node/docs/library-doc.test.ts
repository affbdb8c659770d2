import { expect, it } from 'vitest';
import { libraryPage } from './library-doc.ts';

it('docs/library.md is up to date', async () => {
  await expect(libraryPage()).toMatchFileSnapshot('../../../docs/library.md');
});
