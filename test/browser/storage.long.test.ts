// @module-tag long
// @module-tag nightly-in-chromium
import { expect, test } from 'vitest';
import type { Hub } from '../hub/hub-server.ts';
import { spoilFile } from './harness/spoil-file.ts';
import { COMMIT, openStoredPage } from './harness/stored-page.ts';

const DECODER = 'onnx/decoder_model_merged_q4.onnx';

/** Bytes that the hub has sent of a file. */
function sent(hub: Hub, file: string): number {
  return hub.requests.filter((request) => request.file === file).reduce((sum, { bytes }) => sum + bytes, 0);
}

test.each(['abort', 'reload', 'crash'] as const)(
  'after %s in mid-download, what is whole is not fetched again',
  async (how) => {
    await using session = await openStoredPage();
    const { page, hub } = session;
    const endStall = hub.fault({ kind: 'stall', after: 300_000, path: DECODER });
    const loading = page.evaluate(async () => {
      const near = stored.make();
      const stop = new AbortController();
      Object.assign(globalThis, { stop });
      return near.load({ signal: stop.signal }).then(
        () => 'loaded',
        ({ name, code }) => (name === 'NearsightError' ? code : name),
      );
    });
    loading.catch(() => {});
    const partial = (): Promise<number> =>
      page.evaluate(async () => (await stored.storage.list())[0]?.bytes ?? 0).catch(() => 0);
    await expect.poll(() => sent(hub, DECODER), { timeout: 20_000 }).toBeGreaterThan(590_000);
    // The page reads the journal: nothing else may be written any more.
    await expect.poll(partial, { timeout: 20_000 }).toBeGreaterThan(500_000);
    if (how === 'abort') await page.evaluate(() => (globalThis as unknown as { stop: AbortController }).stop.abort());
    else if (how === 'crash') await page.evaluate(() => faults.workers.at(-1)?.terminate());
    else await session.reload();
    if (how === 'abort') expect(await loading).toBe('AbortError');
    if (how === 'crash') expect(await loading).toBe('worker_crashed');
    const stored1 = await partial();
    endStall();
    session.fetched();
    await page.evaluate(() => stored.works());
    const again = session.fetched().reduce((sum, { bytes }) => sum + bytes, 0);
    const [model] = await page.evaluate(() => stored.storage.list());
    expect(model).toMatchObject({ complete: true });
    expect(again).toBe(model!.totalBytes - stored1);
  },
);

test.each(['flip', 'truncate', 'append', 'delete'] as const)(
  'a stored file after %s is fetched again, alone',
  async (how) => {
    await using session = await openStoredPage();
    await session.page.evaluate(() => stored.works());
    for (const path of [DECODER, 'tokenizer.json']) {
      await spoilFile(session.page, path, how);
      session.fetched();
      await session.page.evaluate(() => stored.works());
      expect(new Set(session.fetched().map(({ file }) => file))).toEqual(new Set([path]));
    }
    await session.page.evaluate(() => stored.works());
    expect(session.fetched()).toEqual([]);
  },
);

test('a stored file that cannot be read is fetched again, alone', async () => {
  await using session = await openStoredPage();
  await session.page.evaluate(() => stored.works());
  session.fetched();
  const outcome = await session.page.evaluate(async () => {
    faults.plan.unreadableBytes = stored.spec.files.find(({ path }) => path === 'tokenizer.json')!.bytes;
    return stored.attempt();
  });
  expect(outcome).toBe('right');
  expect(session.fetched()).toMatchObject([{ file: 'tokenizer.json' }]);
});

test('a stored file for which there is no memory is not called damaged, and stays', async () => {
  await using session = await openStoredPage();
  await session.page.evaluate(() => stored.works());
  session.fetched();
  const outcome = await session.page.evaluate(async () => {
    faults.plan.unreadableAtOnce = stored.spec.files.find(({ path }) => path === 'tokenizer.json')!.bytes;
    const near = stored.make();
    const failure = await near.load().catch(({ code, message }) => ({ code, message }));
    near.dispose();
    return { failure, models: await stored.storage.list() };
  });
  expect(outcome).toMatchObject({
    failure: { code: 'load_failed', message: expect.stringMatching(/^tokenizer\.json .*not damaged.*no memory/) },
    models: [{ complete: true }],
  });
  expect(session.fetched()).toEqual([]);
});

test('a file that an ended worker still has open is waited for', async () => {
  await using session = await openStoredPage();
  const outcome = await session.page.evaluate(() => {
    faults.plan.stillOpen = 3;
    return stored.attempt();
  });
  expect(outcome).toBe('right');
});

test('two tabs download a model once, and both see its progress; one may stop', async () => {
  await using session = await openStoredPage();
  const { page, hub } = session;
  const endDrip = hub.fault({ kind: 'drip', bytes: 10_000, every: 400, path: DECODER });
  const tab = await session.openTab();
  const load = async (): Promise<{ counts: number[]; failure: string }> => {
    const counts: number[] = [];
    const near = stored.make();
    const stop = new AbortController();
    Object.assign(globalThis, { near, stop, counts });
    near.status.subscribe((value) => value.state === 'downloading' && counts.push(value.loadedBytes));
    const failure = await near.load({ signal: stop.signal }).then(() => 'none', String);
    return { counts, failure };
  };
  const first = page.evaluate(load);
  await expect.poll(() => sent(hub, DECODER), { timeout: 20_000 }).toBeGreaterThan(100_000);
  const second = tab.evaluate(load);
  const seenBySecond = (): Promise<number> =>
    tab.evaluate(() => (globalThis as unknown as { counts: number[] }).counts.length);
  await expect.poll(seenBySecond, { timeout: 20_000 }).toBeGreaterThan(3);
  await page.evaluate(() => (globalThis as unknown as { stop: AbortController }).stop.abort());
  const [stopped, kept] = [await first, await second];
  endDrip();
  expect([stopped.failure, kept.failure]).toEqual([expect.stringContaining('AbortError'), 'none']);
  for (const { counts } of [stopped, kept]) expect(counts.length).toBeGreaterThan(3);
  const [model] = await page.evaluate(() => stored.storage.list());
  const total = session.fetched().reduce((sum, { bytes }) => sum + bytes, 0);
  // All bytes once, and at most again the file that the first tab had not written when it stopped.
  expect(total).toBeLessThanOrEqual(model!.totalBytes + 1_024_144);
  expect(model).toMatchObject({ complete: true });
  await tab.close();
});

test('a newer revision downloads what changed, and replaces the older one', async () => {
  await using session = await openStoredPage();
  const { page } = session;
  await page.evaluate(() => stored.works());
  session.fetched();
  const newer = COMMIT.replaceAll('0', 'f');
  await page.evaluate((revision) => stored.works({ revision }), newer);
  expect(session.fetched()).toEqual([]);
  expect(await page.evaluate(() => stored.storage.list())).toMatchObject([{ revision: newer, complete: true }]);
});

test('a newer revision that cannot be downloaded leaves the older one', async () => {
  await using session = await openStoredPage();
  const { page, hub } = session;
  await page.evaluate(() => stored.works());
  hub.fault({ kind: 'status', status: 404, path: 'config.json' });
  const newer = COMMIT.replaceAll('0', 'e');
  const code = await page.evaluate(async (revision) => {
    const files = stored.spec.files.map((file) => ({
      ...file,
      sha256: file.path === 'config.json' ? revision + revision.slice(0, 24) : file.sha256,
    }));
    const near = stored.make('wasm', { revision, files });
    return near.load().catch(({ code }) => code);
  }, newer);
  expect(code).toBe('load_failed');
  const models = await page.evaluate(() => stored.storage.list());
  expect(models).toHaveLength(2);
  for (const { revision, complete } of models) expect(complete).toBe(revision !== newer);
  // The newest that is whole.
  const exported = await page.evaluate(async () => (await stored.storage.export('glimpse')) instanceof ReadableStream);
  expect(exported).toBe(true);
});

test('a newer revision that cannot run here leaves the older one', async () => {
  await using session = await openStoredPage();
  const { page } = session;
  await page.evaluate(() => stored.works());
  session.fetched();
  const revision = COMMIT.replaceAll('0', 'd');
  const code = await page.evaluate(
    async (changes) => {
      const near = stored.make('wasm', changes);
      return near
        .load()
        .then(
          () => 'loaded',
          ({ code }) => code,
        )
        .finally(() => near.dispose());
    },
    { revision, canary: { prompt: [1, 2], tokens: [3, 3, 3, 3] } },
  );
  expect(code).toBe('unsupported_device');
  expect(await page.evaluate(() => stored.storage.list())).toHaveLength(2);
  await page.evaluate((revision) => stored.works({ revision }), revision);
  expect(await page.evaluate(() => stored.storage.list())).toMatchObject([{ revision }]);
  expect(session.fetched()).toEqual([]);
});

test('nothing of images, questions and answers is stored', async () => {
  await using session = await openStoredPage();
  const found = await session.page.evaluate(async () => {
    await stored.works();
    const names = new Set(stored.specFiles().map(({ sha256 }) => `nearsight/1/blobs/${sha256}`));
    const others = Object.keys(await stored.files()).filter((path) => !names.has(path));
    return {
      others,
      databases: await indexedDB.databases(),
      caches: await caches.keys(),
      local: localStorage.length + sessionStorage.length,
    };
  });
  expect(found).toEqual({
    others: [expect.stringMatching(/^nearsight\/1\/models\/glimpse@\w{40}\.json$/)],
    databases: [],
    caches: [],
    local: 0,
  });
});
