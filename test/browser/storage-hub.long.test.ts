// @module-tag long
// @module-tag nightly-in-chromium
/** What the store knows of a repository on the hub, and what it believes. */
import { expect, test } from 'vitest';
import listed from '../../models/glimpse/files.json' with { type: 'json' };
import { startHub } from '../hub/hub-server.ts';
import { COMMIT, openStoredPage, REPOSITORY } from './harness/stored-page.ts';

test('another hash under the recorded commit is refused', async () => {
  await using session = await openStoredPage();
  const { page, hub } = session;
  const load = (dtype: string): Promise<unknown> =>
    page.evaluate(
      async (model) => {
        const near = nearsight.createNearsight({ model, device: 'wasm' });
        return near
          .load()
          .then(
            () => 'loaded',
            ({ code, message }) => ({ code, message }),
          )
          .finally(() => near.dispose());
      },
      { hub: REPOSITORY, baseURL: hub.origin, dtype },
    );
  expect(await load('q4')).toBe('loaded');
  // As if the hub had had another config.json then, and no other variant.
  const changed = await page.evaluate(async () => {
    let models = await navigator.storage.getDirectory();
    for (const name of ['nearsight', '1', 'models']) models = await models.getDirectoryHandle(name);
    for await (const name of models.keys()) {
      const handle = await models.getFileHandle(name);
      const record = JSON.parse(await (await handle.getFile()).text());
      record.spec.files.find(({ path }: { path: string }) => path === 'config.json').sha256 = '0'.repeat(64);
      record.spec.variants = record.spec.variants.filter(({ dtype }: { dtype: string }) => dtype === 'q4');
      const writable = await handle.createWritable();
      await writable.write(JSON.stringify(record));
      await writable.close();
      return name;
    }
    return undefined;
  });
  expect(changed).toContain(COMMIT);
  // So that the hub is asked again.
  expect(await load('q4f16')).toEqual({
    code: 'integrity',
    message: expect.stringContaining(
      `config.json of ${REPOSITORY} has another hash than before under the same commit ${COMMIT}`,
    ),
  });
});

test('what is known of a repository survives other dtypes, other mirrors and imports that claim its name', async () => {
  await using session = await openStoredPage({ policy: null });
  const { page, hub } = session;
  const files = Object.fromEntries(listed.map(({ path }) => [path, `models/glimpse/${path}`]));
  const mirror = await startHub({
    repositories: [{ id: REPOSITORY, revisions: { [COMMIT]: files }, branches: { main: COMMIT, v1: COMMIT } }],
  });
  try {
    const load = (model: object): Promise<string> =>
      page.evaluate(async (given) => {
        const near = nearsight.createNearsight({
          model: given as import('nearsight').NearsightOptions['model'],
          device: 'wasm',
        });
        return near
          .load()
          .then(
            () => 'loaded',
            ({ code }) => String(code),
          )
          .finally(() => near.dispose());
      }, model);
    const dtypes = (): Promise<unknown> =>
      page.evaluate(async () => (await stored.storage.list()).map(({ files, complete }) => [complete, files.length]));
    const model = { hub: REPOSITORY, baseURL: hub.origin };
    expect(await load(model)).toBe('loaded');
    const before = await dtypes();
    hub.requests.length = 0;

    // A load of another dtype fails on this device, and takes nothing from the first.
    expect(await load({ ...model, dtype: 'q4f16' })).not.toBe('loaded');
    expect(await dtypes()).toEqual(before);
    expect(await load(model)).toBe('loaded');
    expect(hub.requests).toEqual([]);

    // Another mirror, which is asked only for what is missing; a tag is resolved, not taken for the branch.
    await page.evaluate(
      async (name) => {
        let blobs = await navigator.storage.getDirectory();
        for (const folder of ['nearsight', '1', 'blobs']) blobs = await blobs.getDirectoryHandle(folder);
        await stored.released();
        await blobs.removeEntry(name);
      },
      listed.find(({ path }) => path === 'onnx/decoder_model_merged_q4.onnx')?.sha256 ?? '',
    );
    expect(await load({ hub: REPOSITORY, baseURL: mirror.origin })).toBe('loaded');
    expect(hub.requests).toEqual([]);
    expect(new Set(mirror.requests.map(({ file }) => file))).toEqual(new Set(['onnx/decoder_model_merged_q4.onnx']));
    expect(await load({ hub: REPOSITORY, baseURL: mirror.origin, revision: 'v1' })).toBe('loaded');
    expect(mirror.requests.some(({ hop }) => hop === 'api')).toBe(true);

    // An archive that claims the name, with files of its own.
    await page.evaluate(async (id) => {
      await stored.released();
      await stored.storage.delete(id);
      const bytes = new TextEncoder().encode('{}');
      const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
      const sha256 = Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
      const file = { path: 'config.json', bytes: bytes.length, sha256 };
      const graph = { file: { ...file, path: 'onnx/a.onnx' }, data: [] };
      const variant = {
        dtype: 'q4',
        devices: ['wasm'],
        f16: false,
        graphs: { vision: graph, embed: graph, decoder: graph },
      };
      const spec = {
        format: 1,
        id,
        modelType: 'idefics3',
        files: [file],
        variants: [variant, { ...variant, dtype: 'fp32' }],
        contextLength: 64,
        wasm: 'ok',
        licence: { restricted: false },
      };
      const entries = [
        new File([JSON.stringify(spec)], 'spec.json'),
        new File([bytes], 'config.json'),
        new File([bytes], 'a.onnx'),
      ];
      Object.defineProperty(entries[2], 'webkitRelativePath', { value: 'model/onnx/a.onnx' });
      for (const entry of entries.slice(0, 2)) {
        Object.defineProperty(entry, 'webkitRelativePath', { value: `model/${entry.name}` });
      }
      await stored.storage.import(entries);
    }, REPOSITORY);
    expect(await load({ ...model, dtype: 'q4' })).toBe('integrity');
    expect(await page.evaluate(async () => (await stored.storage.list()).map(({ unverified }) => unverified))).toEqual([
      true,
    ]);
    // It does not keep the repository's own files out: once the hub is asked, they come first.
    expect(await load({ ...model, dtype: 'q4f16' })).toBe('unsupported_device');
    expect(await load(model)).toBe('loaded');
  } finally {
    await mirror.close();
  }
});

test('an import that failed, without hashes of the page, does not keep the hub out', async () => {
  await using session = await openStoredPage();
  const outcome = await session.page.evaluate(
    async (model, revision) => {
      const { storage, spec } = stored;
      const files = spec.files.map((file) => ({ ...file, sha256: '0'.repeat(64) }));
      const archive = JSON.stringify({ ...spec, id: model.hub, revision, files });
      const imported = await storage
        .import([new File([archive], 'spec.json'), new File(['{}'], 'config.json')])
        .catch(({ code }) => code);
      const before = (await storage.list()).map(({ id, unverified, complete }) => ({ id, unverified, complete }));
      const near = nearsight.createNearsight({ model, device: 'wasm' });
      await near.load();
      near.dispose();
      return { imported, before, complete: (await storage.list()).map(({ complete }) => complete) };
    },
    { hub: REPOSITORY, baseURL: session.hub.origin },
    COMMIT,
  );
  expect(outcome).toEqual({
    imported: 'integrity',
    before: [{ id: REPOSITORY, unverified: true, complete: false }],
    complete: [true],
  });
});
