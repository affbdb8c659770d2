import { expect, test } from 'vitest';
import { browserName } from './harness/harness.ts';
import { openStoredPage } from './harness/stored-page.ts';

test('a model is downloaded once, then opened from the disk, with the network gone and the page loaded again', async () => {
  let threads = 0;
  // The thread that hashes runs the store's script.
  const answer = ({ url, headers }: Request): undefined => {
    if (/\/store\b[^/]*\.js$/.test(url) && headers.get('sec-fetch-dest') === 'worker') threads++;
  };
  await using session = await openStoredPage({ answer });
  const { page, hub } = session;
  const first = await page.evaluate(async () => {
    const near = stored.make();
    const before = await near.probe();
    const facts = await near.load();
    const after = await near.probe();
    near.dispose();
    return { before, facts, after };
  });
  expect(first.facts.storage).toEqual({ kind: 'disk' });
  const { bytes } = first.before;
  expect(bytes).toBeGreaterThan(3e6);
  expect(first.before).toMatchObject({ storedBytes: 0, storage: { kind: 'disk' } });
  expect(first.after).toMatchObject({ storedBytes: bytes, bytes });
  const fetched = session.fetched();
  expect(new Set(fetched.map(({ file }) => file)).size).toBe(10);
  expect(fetched.reduce((sum, request) => sum + request.bytes, 0)).toBe(bytes);
  await session.reload();
  hub.fault({ kind: 'status', status: 500 });
  threads = 0;
  await page.evaluate(() => stored.works());
  expect(threads).toBe(browserName === 'chromium' ? 1 : 0);
  expect(session.fetched()).toEqual([]);
  const models = await page.evaluate(() => stored.storage.list());
  expect(models).toMatchObject([{ id: 'glimpse', complete: true, unverified: false, bytes, totalBytes: bytes }]);
});
