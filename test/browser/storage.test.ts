import { expect, test } from 'vitest';
import { openStoredPage } from './harness/stored-page.ts';

test('a model is downloaded once, and then opened from the disk', async () => {
  await using session = await openStoredPage();
  const { page, hub } = session;
  const first = await page.evaluate(() => stored.works());
  expect(first.storage).toEqual({ kind: 'disk' });
  expect(new Set(session.fetched().map(({ file }) => file)).size).toBe(10);
  await session.reload();
  await hub.close();
  await page.evaluate(() => stored.works());
  expect(session.fetched()).toEqual([]);
  const [model] = await page.evaluate(() => stored.storage.list());
  expect(model).toMatchObject({ id: 'glimpse', complete: true, unverified: false });
});
