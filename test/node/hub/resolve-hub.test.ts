import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { smolvlm256m } from '../../../models/smolvlm-256m.ts';
import listed from '../../../models/glimpse/files.json' with { type: 'json' };
import type { HubModel } from '../../../src/protocol/model-spec.ts';
import { modelTypes } from '../../../worker/families/registry.ts';
import { resolveHub } from '../../../worker/hub/resolve-hub.ts';
import type { RevisionFiles } from '../../hub/repository.ts';
import { type Hub, startHub } from '../../hub/hub-server.ts';

const COMMIT = '1234567890123456789012345678901234567890';
const folder = 'models/glimpse/';
const glimpse = Object.fromEntries(listed.map(({ path }) => [path, folder + path]));
const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
const glimpseConfig = JSON.parse(readFileSync(`${folder}config.json`, 'utf8')) as Record<string, object>;

/** Repositories that differ from a good one in one thing. */
const variations: Record<string, RevisionFiles> = {
  good: { ...glimpse, 'README.md': json('') },
  florence: { ...glimpse, 'config.json': json({ ...glimpseConfig, model_type: 'florence2' }) },
  typeless: { ...glimpse, 'config.json': json({}) },
  'no-json': { ...glimpse, 'config.json': new TextEncoder().encode('<html>') },
  'no-graphs': { 'config.json': glimpse['config.json'] ?? '' },
  'no-config': { 'onnx/model.onnx': json(1) },
  empty: { ...glimpse, 'onnx/vision_encoder_q4.onnx': new Uint8Array() },
  context: { ...glimpse, 'config.json': json({ ...glimpseConfig, text_config: { max_position_embeddings: -1 } }) },
  vocab: {
    ...glimpse,
    'config.json': json({ ...glimpseConfig, text_config: { ...glimpseConfig['text_config'], vocab_size: 2 ** 31 } }),
  },
  eos: { ...glimpse, 'generation_config.json': json({ eos_token_id: [1, 1e300] }) },
  edge: { ...glimpse, 'preprocessor_config.json': json({ size: { longest_edge: 1e9 } }) },
  rows: { ...glimpse, 'processor_config.json': json({ image_seq_len: 1e6 }) },
  'large-config': { ...glimpse, 'config.json': new Uint8Array(2 ** 20 + 1) },
  climbing: { ...glimpse, 'onnx/../../evil.onnx': json(1) },
  drive: { ...glimpse, 'C:evil.onnx': json(1) },
  backslash: { ...glimpse, 'onnx\\evil.onnx': json(1) },
  'double-slash': { ...glimpse, 'onnx//evil.onnx': json(1) },
  absolute: { ...glimpse, '/evil.onnx': json(1) },
};

let hub: Hub;

beforeAll(async () => {
  hub = await startHub({
    repositories: Object.entries(variations).map(([name, files]) => ({
      id: `org/${name}`,
      revisions: { [COMMIT]: files },
      branches: { main: COMMIT, 'refs/pr/1': COMMIT },
      license: 'apache-2.0',
      isLarge: (path) => path.startsWith('onnx/'),
    })),
    pageSize: 4,
  });
});

afterAll(() => hub.close());

beforeEach(() => {
  hub.requests.length = 0;
});

const resolve = (name: string, change: Partial<HubModel> = {}, options: { fetch?: typeof fetch } = {}) => {
  const signal = new AbortController().signal;
  const model = { hub: `org/${name}`, baseURL: hub.origin, ...change };
  return resolveHub(model, { modelTypes, signal, ...options });
};

const listedSha = (path: string) => listed.find((entry) => entry.path === path)?.sha256;
const sha = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
/** An entry of a listing. */
const large = (path: string, size: number, oid = '0'.repeat(64)) => ({ type: 'file', path, size, lfs: { oid, size } });
/** A fetch that reaches nothing. */
const served =
  (answer: (url: string) => Response): typeof fetch =>
  async (url) =>
    answer(url instanceof Request ? url.url : String(url));

describe('the spec of a repository', () => {
  it('has the files of its commit, with the hashes of what they are', async () => {
    const { spec, small } = await resolve('good');
    expect(spec).toMatchObject({
      format: 1,
      id: 'org/good',
      modelType: 'idefics3',
      repository: 'org/good',
      revision: COMMIT,
      contextLength: 4096,
      wasm: 'ok',
      licence: { spdx: 'Apache-2.0', restricted: false },
    });
    const used = listed.filter(({ path }) => !path.startsWith('onnx/') && path !== 'special_tokens_map.json');
    const url = (path: string) => `${hub.origin}/org/good/resolve/${COMMIT}/${path}`;
    expect(new Set(spec.files)).toEqual(new Set(used.map((file) => ({ ...file, url: url(file.path) }))));
    expect(spec.variants.map(({ dtype, f16, devices }) => ({ dtype, f16, devices }))).toEqual([
      { dtype: 'q4f16', f16: true, devices: ['webgpu'] },
      { dtype: 'q4', f16: false, devices: ['webgpu', 'wasm'] },
    ]);
    for (const { dtype, graphs } of spec.variants) {
      expect(graphs.vision.file.sha256).toBe(listedSha(`onnx/vision_encoder_${dtype}.onnx`));
      expect(graphs.decoder.file.sha256).toBe(listedSha(`onnx/decoder_model_merged_${dtype}.onnx`));
      expect(graphs.embed.file.sha256).toBe(listedSha('onnx/embed_tokens_q4f16.onnx'));
    }
    // What was read need not be fetched again, and no weights were.
    expect([...small.keys()].sort()).toEqual(used.map(({ path }) => path).sort());
    expect(Buffer.from(small.get('tokenizer.json') ?? []).equals(readFileSync(`${folder}tokenizer.json`))).toBe(true);
    expect(hub.requests.some(({ hop }) => hop === 'cdn')).toBe(false);
    expect(new Set(hub.requests.map(({ path }) => path.replace(COMMIT, 'main'))).size).toBeGreaterThan(used.length);
    expect(hub.requests.filter(({ hop }) => hop === 'cache')).toHaveLength(used.length);
  });

  it('has the one precision that is asked for, at the revision that is asked for', async () => {
    const { spec } = await resolve('good', { dtype: 'q4', revision: 'refs/pr/1' });
    expect(spec.variants.map(({ dtype }) => dtype)).toEqual(['q4']);
    expect(spec.revision).toBe(COMMIT);
    await expect(resolve('good', { dtype: 'fp16' })).rejects.toMatchObject({
      code: 'load_failed',
      message: expect.stringContaining('It has: q4f16, q4.') as string,
    });
  });

  it('asks without cookies and without the address of the page, once for each file', async () => {
    const seen: RequestInit[] = [];
    await resolve('good', {}, { fetch: (url, init) => (seen.push(init ?? {}), fetch(url, init)) });
    expect(seen.length).toBeGreaterThan(8);
    expect(
      seen.every(({ credentials, referrerPolicy }) => credentials === 'omit' && referrerPolicy === 'no-referrer'),
    ).toBe(true);
    expect(hub.requests.every(({ hop }) => hop !== 'preflight')).toBe(true);
  });

  it('is that of smolvlm-256m, for its listing', async () => {
    const config = json({ model_type: 'idefics3', text_config: { max_position_embeddings: 8192 } });
    // The configs that are read are this test's own, so their hashes are, too.
    const read = ['config.json', 'generation_config.json', 'preprocessor_config.json', 'processor_config.json'];
    const { files, variants } = smolvlm256m;
    const all = [...files, ...variants.flatMap(({ graphs }) => Object.values(graphs).map(({ file }) => file))];
    const tree = [...new Map(all.map((file) => [file.path, file])).values()].map(({ path, bytes, sha256 }) =>
      read.includes(path) ? large(path, config.length, sha(config)) : large(path, bytes, sha256),
    );
    const { spec } = await resolveHub(
      { hub: smolvlm256m.repository ?? '' },
      {
        modelTypes: ['idefics3'],
        signal: new AbortController().signal,
        fetch: served((url) => {
          if (url.includes('/tree/')) return Response.json(tree);
          if (url.includes('/resolve/')) return new Response(config);
          return Response.json({ sha: smolvlm256m.revision, tags: ['license:apache-2.0'] });
        }),
      },
    );
    const withoutURLs = JSON.stringify(spec.variants, (key, value: unknown) => (key === 'url' ? undefined : value));
    expect(JSON.parse(withoutURLs)).toEqual(variants);
    expect(spec.files.map(({ path }) => path).sort()).toEqual(files.map(({ path }) => path).sort());
    const { contextLength, wasm, licence, revision } = smolvlm256m;
    expect(spec).toMatchObject({ contextLength, wasm, licence, revision });
    const start =
      'https://huggingface.co/HuggingFaceTB/SmolVLM-256M-Instruct/resolve/7e3e67edbbed1bf9888184d9df282b700a323964/';
    expect(spec.files.every(({ path, url }) => url === start + path)).toBe(true);
  });
});

describe('what a repository may not do', () => {
  it.each([
    ['florence', 'unsupported_device', "its model_type is 'florence2'. Known ones: idefics3, smolvlm."],
    ['typeless', 'unsupported_device', 'not named in its config.json'],
    ['no-json', 'load_failed', 'config.json is not JSON'],
    ['no-config', 'load_failed', 'it has no config.json'],
    ['no-graphs', 'load_failed', 'no complete set of graphs'],
    ['empty', 'load_failed', 'onnx/vision_encoder_q4.onnx 0 bytes'],
    ['context', 'load_failed', 'max_position_embeddings should be a whole number'],
    ['vocab', 'load_failed', 'text_config.vocab_size is 2147483648; at most 1048576'],
    ['eos', 'load_failed', 'generation_config.json: eos_token_id.1 is 1e+300'],
    ['edge', 'load_failed', 'preprocessor_config.json: size.longest_edge is 1000000000'],
    ['rows', 'load_failed', 'processor_config.json: image_seq_len is 1000000'],
    ['large-config', 'load_failed', 'config.json 1048577 bytes; 1 to 1048576'],
    ['climbing', 'load_failed', 'names the path "onnx/.."'],
    ['drive', 'load_failed', 'names the path "C:evil.onnx"'],
    ['backslash', 'load_failed', 'names the path'],
    ['double-slash', 'load_failed', 'names the path "onnx/"'],
    ['absolute', 'load_failed', 'names the path ""'],
    ['nothing-there', 'load_failed', 'HTTP 401. The repository does not exist, is private'],
  ])('%s: %s', async (name, code, message) => {
    await expect(resolve(name)).rejects.toMatchObject({ code, message: expect.stringContaining(message) as string });
  });

  it('give a listing that is no listing, endless, or says impossible things', async () => {
    const entry = { type: 'file', path: 'config.json', size: 10, oid: '0'.repeat(40) };
    const listing = (tree: unknown, headers: Record<string, string> = {}) =>
      resolve(
        'any',
        { baseURL: 'https://mirror.test' },
        {
          fetch: served((url) =>
            url.includes('/tree/') ? Response.json(tree, { headers }) : Response.json({ sha: COMMIT }),
          ),
        },
      );
    const refused = (message: string) => ({ code: 'load_failed', message: expect.stringContaining(message) as string });
    await expect(listing({})).rejects.toMatchObject(refused('is no list'));
    await expect(listing([entry, entry])).rejects.toMatchObject(refused('lists config.json twice'));
    await expect(listing([{ ...entry, size: 1.5 }])).rejects.toMatchObject(refused('the size 1.5'));
    await expect(listing([{ ...entry, size: -1 }])).rejects.toMatchObject(refused('the size -1'));
    await expect(listing([{ ...entry, oid: 'none' }])).rejects.toMatchObject(refused('has no hash of config.json'));
    await expect(listing([null])).rejects.toMatchObject(refused('names the path null'));
    await expect(listing([], { link: '<?cursor=x>; rel="next"' })).rejects.toMatchObject(refused('more than 20 pages'));
    const many = Array.from({ length: 10_001 }, (_, at) => ({ ...entry, path: `file-${at}` }));
    await expect(listing(many)).rejects.toMatchObject(refused('more than 10000 files'));
    const long = Array.from({ length: 60_000 }, () => ({ ...entry, note: 'x'.repeat(150) }));
    await expect(listing(long)).rejects.toMatchObject(refused('8388608 bytes that are accepted'));
  });

  it('send us to another server for the next page', async () => {
    const asked: string[] = [];
    const fetching = served((url) => {
      asked.push(url);
      if (!url.includes('/tree/')) return Response.json({ sha: COMMIT });
      const headers = { link: '<https://evil.test/api/steal?cursor=2>; rel="next"' };
      return asked.length === 2 ? Response.json([], { headers }) : Response.json([]);
    });
    await expect(resolve('any', { baseURL: 'https://mirror.test/hf' }, { fetch: fetching })).rejects.toThrow(
      'no config.json',
    );
    const models = 'https://mirror.test/hf/api/models/org/any';
    expect(asked).toEqual([
      `${models}/revision/main`,
      `${models}/tree/${COMMIT}?recursive=true`,
      `${models}/tree/${COMMIT}?cursor=2`,
    ]);
  });

  it('claim a graph of more than 4 GiB', async () => {
    const config = json({ model_type: 'idefics3', text_config: { max_position_embeddings: 10 } });
    const names = ['vision_encoder', 'embed_tokens', 'decoder_model_merged'];
    const graphs = names.map((name) => large(`onnx/${name}_q4.onnx`, 2 ** 32 + 1));
    const fetching = served((url) => {
      if (url.includes('/tree/')) return Response.json([large('config.json', config.length, sha(config)), ...graphs]);
      return url.includes('/resolve/') ? new Response(config) : Response.json({ sha: COMMIT });
    });
    const refused = '4294967297 bytes; 1 to 4294967296 are accepted';
    await expect(resolve('any', {}, { fetch: fetching })).rejects.toThrow(refused);
  });

  it.each<[string, Partial<HubModel>]>([
    ['hub', { hub: '../../etc/passwd' }],
    ['hub', { hub: 'org' }],
    ['hub', { hub: 'org/name/more' }],
    ['hub', { hub: 'org/name?x=1' }],
    ['revision', { revision: '../main' }],
    ['revision', { revision: '' }],
    ['baseURL', { baseURL: 'javascript:alert(1)' }],
    ['baseURL', { baseURL: '/relative' }],
  ])('be asked for by a %s that cannot be one: %j', async (field, change) => {
    const fetching = () => Promise.reject(new Error('nothing is asked'));
    await expect(resolve('good', change, { fetch: fetching })).rejects.toMatchObject({
      code: 'invalid_request',
      message: expect.stringContaining(field) as string,
    });
  });
});
