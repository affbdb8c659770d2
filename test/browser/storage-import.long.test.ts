// @module-tag long
// @module-tag nightly-in-chromium
/** What an import does to a model that is stored already, and what it refuses before it writes anything. */
import { expect, test } from 'vitest';
import { COMMIT, openStoredPage, REPOSITORY, type StoredPage } from './harness/stored-page.ts';

/** The only record, but for the time of its last use. */
function readRecord({ page }: StoredPage): Promise<Record<string, unknown>> {
  return page.evaluate(async () => {
    let models = await navigator.storage.getDirectory();
    for (const name of ['nearsight', '1', 'models']) models = await models.getDirectoryHandle(name);
    for await (const name of models.keys()) {
      const handle = await models.getFileHandle(name);
      const { lastUsed: _, ...record } = JSON.parse(await (await handle.getFile()).text());
      return record;
    }
    return {};
  });
}

test('an import with a spec that breaks off takes nothing from a model that is whole', async () => {
  await using session = await openStoredPage();
  const { page, hub } = session;
  const model = { hub: REPOSITORY, baseURL: hub.origin };
  const load = (model: object): Promise<void> =>
    page.evaluate(async (model) => {
      const near = nearsight.createNearsight({ model: model as typeof stored.spec, device: 'wasm' });
      await near.load();
      near.dispose();
    }, model);
  await load({ ...model, revision: COMMIT });
  const before = await readRecord(session);
  expect(before).toMatchObject({ hashes: 'hub', requestedAs: [COMMIT] });
  const models = await page.evaluate(
    async (id, revision) => {
      const spec = { ...stored.spec, id, revision, variants: stored.spec.variants.slice(0, 1) };
      const signal = AbortSignal.abort(new Error('enough'));
      await stored.storage.import([new File(['x'], 'config.json')], { spec, signal }).catch(() => {});
      return stored.storage.list();
    },
    REPOSITORY,
    COMMIT,
  );
  expect(models).toMatchObject([{ id: REPOSITORY, complete: true }]);
  const { spec, hashes, ...kept } = await readRecord(session);
  expect(hashes).toBe('spec');
  expect(before).toMatchObject(kept);
  expect((spec as typeof stored.spec).variants.map(({ dtype }) => dtype)).toEqual(
    (before['spec'] as typeof stored.spec).variants.map(({ dtype }) => dtype),
  );
});

test('an archive with other variants than the record is checked by the hashes that both have', async () => {
  await using session = await openStoredPage();
  const outcomes = await session.page.evaluate(async (revision) => {
    const { storage } = stored;
    const all = { ...stored.spec, revision };
    const one = { ...all, variants: all.variants.filter(({ devices }) => devices.includes('wasm')) };
    const add = (spec: object): Promise<unknown> =>
      storage.import([new File([JSON.stringify(spec)], 'spec.json')]).then(
        ({ complete, unverified }) => ({ complete, unverified }),
        ({ code }) => code,
      );
    await stored.works(one);
    const more = await add(all);
    const record = (await storage.list())[0]?.files.length;
    const other = await add({ ...all, files: all.files.map((file) => ({ ...file, sha256: '0'.repeat(64) })) });
    await stored.works(all);
    return { more, record, other, fewer: await add(one) };
  }, COMMIT);
  const checked = { complete: true, unverified: false };
  expect(outcomes).toEqual({ more: checked, record: 10, other: 'integrity', fewer: checked });
});

test('an import that lacks files of another variant takes nothing from a model that is whole', async () => {
  await using session = await openStoredPage();
  const outcome = await session.page.evaluate(async (revision) => {
    const { storage } = stored;
    const spec = { ...stored.spec, revision };
    const onWasm = ({ devices }: { devices: readonly string[] }): boolean => devices.includes('wasm');
    await stored.works({ ...spec, variants: spec.variants.filter(onWasm) });
    await stored.released();
    const other = { ...spec, variants: spec.variants.filter((variant) => !onWasm(variant)) };
    const failure = await storage
      .import(await new Response(await storage.export('glimpse')).blob(), { spec: other })
      .catch(({ code, message }) => ({ code, message }));
    const afterwards = await storage.list();
    await storage.clear();
    const config = new File(['x'], 'unknown.json');
    const ofNone = await storage.import([config], { spec: other }).catch(({ code }) => code);
    return { failure, afterwards, ofNone, listed: await storage.list() };
  }, COMMIT);
  expect(outcome).toMatchObject({
    failure: { code: 'integrity', message: expect.stringMatching(/is missing/) },
    afterwards: [{ complete: true }],
    ofNone: 'integrity',
    listed: [{ complete: false }],
  });
});

test('parts of another variant do not make an import incomplete', async () => {
  await using session = await openStoredPage();
  const model = await session.page.evaluate(async () => {
    const { storage, spec } = stored;
    await stored.works();
    const archive = await new Response(await storage.export('glimpse')).blob();
    const other = spec.variants.find(({ devices }) => !devices.includes('wasm'))!.graphs.decoder.file;
    let parts = await navigator.storage.getDirectory();
    for (const name of ['nearsight', '1', 'parts']) parts = await parts.getDirectoryHandle(name);
    const handle = await parts.getFileHandle(`${other.sha256}.${other.bytes}`, { create: true });
    const writable = await handle.createWritable();
    await writable.write(new Uint8Array(other.bytes));
    await writable.write(JSON.stringify({ etag: null, done: `1${'0'.repeat(Math.ceil(other.bytes / 262_144) - 1)}` }));
    await writable.close();
    return storage.import(archive, { spec });
  });
  expect(model.files.some(({ bytes, storedBytes }) => storedBytes > 0 && storedBytes < bytes)).toBe(true);
  expect(model).toMatchObject({ complete: true });
});

test('a spec whose names cannot be names of files, and a browser that cannot write, are refused before anything is stored', async () => {
  await using session = await openStoredPage();
  const result = await session.page.evaluate(async () => {
    const { storage, spec } = stored;
    const add = (change: object): Promise<unknown> =>
      storage.import([new File(['{}'], 'config.json')], { spec: { ...spec, ...change } }).then(
        () => 'done',
        ({ code, message }) => `${code}: ${message}`,
      );
    const upper = spec.files.map((file) => ({ ...file, sha256: file.sha256.toUpperCase() }));
    const refused = [await add({ revision: 'feature/x' }), await add({ files: upper }), await add({ files: 1 })];
    // As Safari before 26.
    Reflect.deleteProperty(FileSystemFileHandle.prototype, 'createWritable');
    return { refused, safari: await add({}), left: await stored.files() };
  });
  expect(result).toEqual({
    refused: [
      expect.stringMatching(/^invalid_request: spec is not a ModelSpec: its revision is no commit/),
      expect.stringMatching(/^invalid_request: spec .*chat_template\.json has no sha256/),
      expect.stringMatching(/^invalid_request: spec /),
    ],
    safari: expect.stringMatching(/^storage_unavailable: .*Safari/),
    left: {},
  });
});
