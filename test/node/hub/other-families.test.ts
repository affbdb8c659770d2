import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { knownModels } from '../../../models/index.ts';
import { lfm25Vl450m } from '../../../models/lfm2.5-vl-450m.ts';
import type { ModelSpec } from '../../../src/protocol/model-spec.ts';
import { resolveHub } from '../../../worker/hub/resolve-hub.ts';
import listings from '../../fixtures/hub/listings.json' with { type: 'json' };

/** Files that the second engine asks for; where a listing lacks them, and where they are read, they are this test's own. */
const CONFIGS = ['config.json', 'generation_config.json', 'preprocessor_config.json', 'tokenizer.json'].concat(
  'tokenizer_config.json',
);
const READ = ['config.json', 'generation_config.json', 'preprocessor_config.json', 'processor_config.json'];
const NOT_LISTED = '0'.repeat(64);

interface Listing {
  hub: string;
  revision: string;
  modelType: string;
  files: readonly (readonly [path: string, bytes: number, sha256: string | undefined])[];
}

function listingOf(name: string, more: readonly string[] = []): Listing {
  const found = listings.find(({ hub }) => hub.endsWith(`/${name}`));
  if (!found) throw new Error(`no listing of ${name}`);
  const files = found.files.map(([path, bytes, sha256]) => [String(path), Number(bytes), sha256?.toString()] as const);
  const listed = new Set(files.map(([path]) => path));
  const missing = [...CONFIGS, ...more].filter((path) => !listed.has(path));
  const added = missing.map((path) => [path, 100, undefined] as const);
  return { revision: '1'.repeat(40), ...found, files: [...files, ...added] };
}

/** A repository with a listing's files, and what its configs say. */
async function resolve({ hub, revision, modelType, files }: Listing, config: object = {}): Promise<ModelSpec> {
  const text_config = { max_position_embeddings: 128_000 };
  const body = new TextEncoder().encode(JSON.stringify({ model_type: modelType, text_config, ...config }));
  const own = { size: body.length, oid: createHash('sha256').update(body).digest('hex') };
  const tree = files.map(([path, size, oid = NOT_LISTED]) => {
    const lfs = READ.includes(path) ? own : { size, oid };
    return { type: 'file', path, size: lfs.size, lfs };
  });
  const answer = (url: string): Response => {
    if (url.includes('/tree/')) return Response.json(tree);
    if (url.includes('/resolve/')) return new Response(body);
    return Response.json({ sha: revision, cardData: { license: 'other', license_name: 'lfm1.0' } });
  };
  const { signal } = new AbortController();
  const fetching: typeof fetch = async (url) => answer(url instanceof Request ? url.url : String(url));
  const { spec } = await resolveHub({ hub, revision }, { modelTypes: [modelType], signal, fetch: fetching });
  return spec;
}

const pathsOf = ({ variants }: ModelSpec) =>
  variants.map(({ dtype, graphs }) => ({
    dtype,
    paths: Object.values(graphs).flatMap(({ file, data }) => [file, ...data].map(({ path }) => path)),
  }));
const bytesOf = ({ variants: [first] }: ModelSpec) =>
  Object.values(first?.graphs ?? {})
    .flatMap(({ file, data }) => [file, ...data])
    .reduce((sum, { bytes }) => sum + bytes, 0);
const graphs = (embed: string) => [
  'onnx/vision_encoder_q4.onnx',
  'onnx/vision_encoder_q4.onnx_data',
  `onnx/embed_tokens${embed}.onnx`,
  `onnx/embed_tokens${embed}.onnx_data`,
  'onnx/decoder_model_merged_q4.onnx',
  'onnx/decoder_model_merged_q4.onnx_data',
];

describe('repositories of other families, by their listings', () => {
  it('LFM2.5-VL-450M has no table in 4 bits: the one in half precision is taken; its spec is the one that ships', async () => {
    const listing = listingOf('LFM2.5-VL-450M-ONNX');
    const spec = await resolve(listing);
    expect(pathsOf(spec)).toEqual([{ dtype: 'q4', paths: graphs('_fp16') }]);
    const plain = JSON.parse(
      JSON.stringify(spec, (key, value: unknown) => (key === 'url' ? undefined : value)),
    ) as ModelSpec;
    const hashes = new Map(listing.files.map(([path, bytes, sha256]) => [path, { bytes, sha256 }]));
    const files = plain.files.map((file) => ({ ...file, ...hashes.get(file.path) }));
    const { id, description, licence, ...shipped } = lfm25Vl450m;
    expect({ ...plain, files }).toMatchObject(shipped);
    expect(spec.licence).toEqual(licence);
    expect([id, description]).toEqual(['lfm2.5-vl-450m', expect.any(String)]);
  });

  it.each([
    ['Qwen3.5-0.8B-ONNX-OPT', 'onnx-community/Qwen3.5-0.8B-ONNX-OPT'],
    ['Qwen3-VL-2B-Instruct-ONNX', 'onnx-community/Qwen3-VL-2B-Instruct-ONNX'],
    ['LightOnOCR-2-1B-ONNX', 'onnx-community/LightOnOCR-2-1B-ONNX'],
  ])('%s has all of its graphs and their data, in the bytes that are named for it', async (name, hub) => {
    const listing = listingOf(name, ['processor_config.json', 'chat_template.jinja']);
    const spec = await resolve(listing);
    expect(pathsOf(spec)).toEqual([{ dtype: 'q4', paths: graphs('_q4') }]);
    const expected = [...CONFIGS, 'processor_config.json', 'chat_template.jinja'];
    expect(spec.files.map(({ path }) => path).sort()).toEqual(expected.sort());
    expect(spec).toMatchObject({ modelType: listing.modelType, wasm: 'slow', contextLength: 128_000 });
    const known = knownModels.find(({ model }) => 'hub' in model && model.hub === hub);
    expect(known).toMatchObject({ modelType: listing.modelType, model: { revision: listing.revision } });
    // Configs and tokenizer are 20 MB at most.
    const difference = (known?.bytes?.other ?? 0) - bytesOf(spec);
    expect(Math.abs(difference)).toBeLessThan(20e6);
  });

  it('Gemma 4: data in parts are followed, an encoder of sound is left out, and numbers that size nothing may be large', async () => {
    const listing = listingOf('gemma-4-E2B-it-ONNX');
    const more = ['vision_encoder_q4.onnx', 'decoder_model_merged_q4.onnx_data_1', 'audio_encoder_q4.onnx'];
    const files = [...listing.files, ...more.map((name) => [`onnx/${name}`, 1000, undefined] as const)];
    const spec = await resolve({ ...listing, files }, { audio_config: { gradient_clipping: 1e10 } });
    expect(pathsOf(spec)).toEqual([
      {
        dtype: 'q4',
        paths: [
          'onnx/vision_encoder_q4.onnx',
          'onnx/embed_tokens_q4.onnx',
          'onnx/embed_tokens_q4.onnx_data',
          'onnx/decoder_model_merged_q4.onnx',
          'onnx/decoder_model_merged_q4.onnx_data',
          'onnx/decoder_model_merged_q4.onnx_data_1',
        ],
      },
    ]);
  });

  it('a config that leaves its context out, as Gemma 3 does, gets one that fits most devices', async () => {
    const spec = await resolve(listingOf('LFM2.5-VL-450M-ONNX'), { text_config: { model_type: 'gemma3_text' } });
    expect(spec.contextLength).toBe(8192);
  });
});
