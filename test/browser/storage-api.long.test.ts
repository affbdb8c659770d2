// @module-tag long
// @module-tag nightly-in-chromium
import { expect, test } from 'vitest';
import { COMMIT, openStoredPage, REPOSITORY } from './harness/stored-page.ts';

const LAST = 'onnx/decoder_model_merged_q4.onnx';

test('a repository on the hub is resolved to a commit, and then used without the network', async () => {
  await using session = await openStoredPage();
  const { page, hub } = session;
  const load = (model: { hub: string; baseURL: string; revision?: string }) =>
    page.evaluate(async (model) => {
      const near = nearsight.createNearsight({ model, device: 'wasm' });
      const { image, question, answer } = goldens.imageFirst;
      try {
        let text = '';
        for await (const piece of near.ask(image, question, { maxTokens: 12 })) text += piece;
        return { right: text === answer, verdict: await near.probe() };
      } finally {
        near.dispose();
      }
    }, model);
  const model = { hub: REPOSITORY, baseURL: hub.origin };
  expect(await load(model)).toMatchObject({ right: true, verdict: { verdict: 'yes' } });
  expect(await page.evaluate(() => stored.storage.list())).toMatchObject([
    { id: REPOSITORY, revision: COMMIT, complete: true },
  ]);
  // Each file once, those included that the spec was made from.
  const files = hub.requests.filter(({ hop, status }) => (hop === 'cdn' || hop === 'cache') && status === 200);
  expect(new Set(files.map(({ file }) => file)).size).toBe(files.length);
  await session.reload();
  hub.requests.length = 0;
  expect(await load(model)).toMatchObject({ right: true });
  expect(await load({ ...model, revision: COMMIT })).toMatchObject({ right: true });
  expect(hub.requests).toEqual([]);
});

test('delete, evict and clear leave what is loaded, and what another model needs', async () => {
  await using session = await openStoredPage();
  const result = await session.page.evaluate(async () => {
    const { storage } = stored;
    await stored.works();
    await stored.works({ id: 'copy' });
    await stored.works({ id: 'third' });
    const near = stored.make('wasm', { id: 'copy' });
    await near.load();
    const codeOf = (promise: Promise<unknown>): Promise<unknown> =>
      promise.then(
        () => 'done',
        ({ code }) => code,
      );
    const blobs = async (): Promise<number> =>
      Object.keys(await stored.files()).filter((path) => path.includes('/blobs/')).length;
    const ids = async (): Promise<string[]> => (await storage.list()).map(({ id }) => id).toSorted();
    const before = { blobs: await blobs(), ids: await ids(), usage: await storage.usage() };
    const deletions = [
      await codeOf(storage.delete('copy')),
      await codeOf(storage.delete('nope')),
      await codeOf(storage.delete('third')),
    ];
    for (const options of [{ toFree: NaN }, { toFree: '1e6' }, {}, undefined]) {
      deletions.push(await codeOf(storage.evict(options as never)));
    }
    const afterDelete = { blobs: await blobs(), ids: await ids() };
    const evicted = await storage.evict({ toFree: 1 });
    await storage.clear();
    const afterClear = await ids();
    const still = await near.probe();
    near.dispose();
    await stored.released();
    const evictedLater = await storage.evict({ toFree: 1 });
    return { before, deletions, afterDelete, evicted, afterClear, still, evictedLater, left: await stored.files() };
  });
  expect(result.before).toMatchObject({ blobs: 10, ids: ['copy', 'glimpse', 'third'] });
  expect(result.before.usage.available).toBeGreaterThan(1e6);
  const refused = Array(4).fill('invalid_request');
  expect(result.deletions).toEqual(['storage_unavailable', 'model_not_found', 'done', ...refused]);
  expect(result.afterDelete).toEqual({ blobs: 10, ids: ['copy', 'glimpse'] });
  expect(result.evicted).toEqual({ freed: 0, deleted: ['glimpse'] });
  expect(result.afterClear).toEqual(['copy']);
  expect(result.still.storedBytes).toBe(result.still.bytes);
  expect(result.evictedLater.deleted).toEqual(['copy']);
  expect(result.evictedLater.freed).toBe(result.still.bytes);
  expect(result.left).toEqual({});
});

test('a model is exported as a tar and imported elsewhere, checked by its hashes', async () => {
  await using session = await openStoredPage();
  const result = await session.page.evaluate(async (last) => {
    const { storage } = stored;
    await stored.works();
    const archive = await new Response(await storage.export('glimpse')).blob();
    await storage.clear();
    const codeOf = (promise: Promise<unknown>): Promise<unknown> =>
      promise.then(
        () => 'done',
        ({ code, message }) => `${code}: ${message}`,
      );
    const bytes = new Uint8Array(await archive.arrayBuffer());
    const spoilt = bytes.slice();
    spoilt[spoilt.length - 5000]! ^= 1;
    const flipped = await codeOf(storage.import(new Blob([spoilt]).stream(), { spec: stored.spec }));
    const afterFlipped = Object.keys(await stored.files()).filter((path) => path.includes('/parts/'));
    await storage.clear();
    const cut = await codeOf(storage.import(new Blob([bytes.subarray(0, 2_000_000)]).stream(), { spec: stored.spec }));
    await storage.clear();
    const checked = await storage.import(archive.stream(), { spec: stored.spec });
    await storage.clear();
    let progress = 0;
    const unchecked = await storage.import(archive.stream(), { onProgress: (count) => (progress = count) });
    return {
      first: new TextDecoder().decode(bytes.subarray(0, 9)),
      named: new TextDecoder().decode(bytes.subarray(0, 8192)).includes(String(stored.spec.baseURL)),
      flipped,
      afterFlipped,
      cut,
      checked,
      unchecked,
      progress,
      last,
    };
  }, LAST);
  expect(result.first).toBe('spec.json');
  // It says what the model is, and not where it came from.
  expect(result.named).toBe(false);
  expect(result.flipped).toMatch(/^integrity: onnx\/decoder_model_merged_q4.onnx has sha256 /);
  expect(result.afterFlipped).toEqual([]);
  expect(result.cut).toMatch(/^integrity: /);
  expect(result.checked).toMatchObject({ id: 'glimpse', complete: true, unverified: false });
  expect(result.unchecked).toMatchObject({ id: 'glimpse', complete: true, unverified: true });
  expect(result.progress).toBe(result.unchecked.totalBytes);
  session.hub.fault({ kind: 'status', status: 500 });
  // The page's own spec has hashes of its own.
  expect(await session.page.evaluate(() => stored.works())).toMatchObject({ storage: { kind: 'disk' } });
});

test('a model of the hub from an archive without a spec of the page is unverified, and opens only if the page says so', async () => {
  await using session = await openStoredPage();
  const result = await session.page.evaluate(
    async (model) => {
      const { storage } = stored;
      const codeOf = (promise: Promise<unknown>): Promise<unknown> =>
        promise.then(
          () => 'done',
          ({ code, message }) => `${code}: ${message}`,
        );
      const load = async (options = {}): Promise<unknown> => {
        const near = nearsight.createNearsight({ model, device: 'wasm' });
        const outcome = await codeOf(near.load(options));
        near.dispose();
        await stored.released();
        return outcome;
      };
      await load();
      const archive = await new Response(await storage.export(model.hub)).blob();
      await storage.delete(model.hub);
      const { unverified } = await storage.import(archive);
      const refused = await load();
      const allowed = await load({ allowUnverified: true });
      return { unverified, refused, allowed };
    },
    { hub: REPOSITORY, baseURL: session.hub.origin },
  );
  expect(result).toEqual({
    unverified: true,
    refused: expect.stringMatching(/^integrity: .*allowUnverified: true/),
    allowed: 'done',
  });
});

test('an import that fails is not listed as whole, and cannot be exported; what is no source is refused', async () => {
  await using session = await openStoredPage();
  const result = await session.page.evaluate(async () => {
    const { storage, spec } = stored;
    const codeOf = (promise: Promise<unknown>): Promise<unknown> =>
      promise.then(
        () => 'done',
        ({ code }) => code,
      );
    const wrong = await codeOf(storage.import([new File(['{}'], 'config.json')], { spec }));
    const [model] = await storage.list();
    const exported = await codeOf(storage.export('glimpse'));
    return { wrong, complete: model?.complete, exported, number: await codeOf(storage.import(42 as never)) };
  });
  expect(result).toEqual({
    wrong: 'integrity',
    complete: false,
    exported: 'model_not_found',
    number: 'invalid_request',
  });
});

test.each(['../evil', '/etc/passwd', 'onnx//x', 'C:\\x', 'a:b'])(
  'an archive with the path %s is refused',
  async (path) => {
    await using session = await openStoredPage();
    const code = await session.page.evaluate(async (path) => {
      const header = new Uint8Array(512);
      const put = (at: number, text: string): void => header.set(new TextEncoder().encode(text), at);
      put(0, path);
      put(100, '0000644\0');
      put(124, '00000000005\0');
      put(148, '        ');
      put(156, '0');
      put(257, 'ustar\0\x3000');
      const sum = header.reduce((total, byte) => total + byte, 0);
      put(148, `${sum.toString(8).padStart(6, '0')}\0 `);
      const archive = new Blob([header, new Uint8Array(512), new Uint8Array(1024)]).stream();
      return stored.storage.import(archive, { spec: stored.spec }).catch(({ code }) => code);
    }, path);
    expect(code).toBe('integrity');
  },
);

test('without a private file system models are kept in memory, which status and probe() say', async () => {
  await using session = await openStoredPage({ plan: { noFiles: true } });
  const result = await session.page.evaluate(async () => {
    const near = stored.make();
    const verdict = await near.probe();
    const facts = await near.load();
    near.dispose();
    return { verdict, facts, files: await stored.files() };
  });
  for (const { storage } of [result.verdict, result.facts]) {
    expect(storage).toEqual({ kind: 'memory', reason: expect.stringContaining('cannot store models') });
  }
  expect(result.files).toEqual({});
});

test('a model that does not fit is refused before its download, with what could be evicted', async () => {
  await using session = await openStoredPage({ plan: { freeBytes: 1_000_000 } });
  const message = await session.page.evaluate(async () => {
    const near = stored.make();
    return near.load().catch(({ code, message }) => `${code}: ${message}`);
  });
  expect(message).toMatch(
    /^quota_exceeded: glimpse needs 3\.1 MB more on the disk, and 1\.0 MB are free\. No other model/,
  );
  expect(session.fetched()).toEqual([]);
});
