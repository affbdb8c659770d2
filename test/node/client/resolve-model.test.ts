import { expect, test, vi } from 'vitest';
import type * as smolvlm from '../../../models/smolvlm-256m.ts';
import { createNearsight } from '../../../src/index.ts';
import { resolveModel } from '../../../src/client/resolve-model.ts';
import type { ModelSpec } from '../../../src/protocol/model-spec.ts';

vi.mock('../../../models/smolvlm-256m.ts', async (original) => {
  const { smolvlm256m } = await original<typeof smolvlm>();
  return { smolvlm256m: { ...smolvlm256m } };
});

const { smolvlm256m }: { smolvlm256m: ModelSpec } = await import('../../../models/smolvlm-256m.ts');
const file = { path: 'config.json', bytes: 1, sha256: '0'.repeat(64) };
const own: ModelSpec = { ...smolvlm256m, id: 'own', files: [file], variants: [] };
const urlOf = (spec: ModelSpec): unknown => resolveModel(spec).files[0]?.url;

test('smolvlm-256m is pinned to a commit', () => {
  const { files, variants } = resolveModel('smolvlm-256m');
  const graphs = variants.flatMap(({ graphs: { vision, embed, decoder } }) => [vision.file, embed.file, decoder.file]);
  const folder =
    'https://huggingface.co/HuggingFaceTB/SmolVLM-256M-Instruct/resolve/7e3e67edbbed1bf9888184d9df282b700a323964/';
  const all = [...files, ...graphs];
  expect(all.map(({ url }) => url)).toEqual(all.map(({ path }) => folder + path));
});

test('external data has an absolute URL, too', () => {
  const graph = { file, data: [{ ...file, path: 'onnx/decoder.onnx_data' }] };
  const graphs = { vision: graph, embed: graph, decoder: graph };
  const variants = [{ dtype: 'q4', devices: ['wasm' as const], f16: false, graphs }];
  const [variant] = resolveModel({ ...own, baseURL: 'https://example.com/m/', variants }).variants;
  expect(variant?.graphs.decoder.data[0]?.url).toBe('https://example.com/m/onnx/decoder.onnx_data');
});

test('a spec of another format is refused with its number', () => {
  const other = { ...own, format: 2 } as unknown as ModelSpec;
  const refused = { code: 'load_failed', message: expect.stringContaining('format 2') };
  expect(() => resolveModel(other)).toThrow(expect.objectContaining(refused));
});

test.each(['main', '', 'v1.0', '7e3e67e', '7E3E67EDBBED1BF9888184D9DF282B700A323964', undefined])(
  'a file from the hub with the revision %o is refused',
  async (revision) => {
    const refused = { code: 'load_failed', message: expect.stringContaining(`its revision '${revision ?? ''}'`) };
    expect(() => resolveModel({ ...own, revision })).toThrow(expect.objectContaining(refused));
    // Also in a spec that is part of the package.
    const shipped = smolvlm256m.revision;
    smolvlm256m.revision = revision;
    const response = await createNearsight({ model: 'smolvlm-256m' }).fetch('https://ai.api.nvidia.com/v1/models');
    smolvlm256m.revision = shipped;
    expect([response.status, await response.json()]).toEqual([503, { error: expect.objectContaining(refused) }]);
  },
);

test('files elsewhere need no revision', () => {
  const baseURL = 'https://example.com/m/';
  expect(urlOf({ ...own, baseURL, revision: undefined })).toBe('https://example.com/m/config.json');
  const url = new URL('https://example.com/c.json');
  expect(urlOf({ ...own, files: [{ ...file, url }], repository: undefined })).toBe('https://example.com/c.json');
  expect(() => urlOf({ ...own, repository: undefined })).toThrow('has no url, baseURL or repository for config.json');
});

test("the page's assets decide where a model of the package is, before any url; otherwise url comes before baseURL", () => {
  const listed = [file, { ...file, path: 'onnx/a.onnx', url: 'https://example.com/hashed.onnx' }];
  const packaged: ModelSpec = { ...own, assets: 'glimpse', files: listed, baseURL: 'https://example.com/m/' };
  const urls = (spec: ModelSpec, assets = {}): unknown[] => resolveModel(spec, assets).files.map(({ url }) => url);
  const glimpse = 'https://page.example/near/glimpse/';
  expect(urls(packaged, { glimpse })).toEqual([`${glimpse}config.json`, `${glimpse}onnx/a.onnx`]);
  const elsewhere = ['https://example.com/m/config.json', 'https://example.com/hashed.onnx'];
  expect(urls(packaged, { worker: 'https://page.example/w.js' })).toEqual(elsewhere);
  expect(urls({ ...packaged, assets: undefined }, { glimpse })).toEqual(elsewhere);
});

test('without assets and without a URL from the bundler, the error shows both ways', () => {
  const lost: ModelSpec = { ...own, assets: 'glimpse', repository: undefined };
  const message = expect.stringMatching(/config\.json of own .*npx nearsight assets.*optimizeDeps/);
  expect(() => resolveModel(lost)).toThrow(expect.objectContaining({ code: 'load_failed', message }));
});
