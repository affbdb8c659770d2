import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { glimpse } from '../../../models/glimpse.ts';
import { checkModel } from '../../../src/client/check-spec.ts';
import type { Device, ModelSpec } from '../../../src/protocol/model-spec.ts';
import { readSpec } from '../../../src/storage/read-spec.ts';
import type { EngineKind } from '../../../worker/engines/engine.ts';
import { onnxEngine } from '../../../worker/engines/onnx/onnx-engine.ts';
import { transformersEngine } from '../../../worker/engines/transformers/transformers-engine.ts';
import { Session } from '../../../worker/onnx/ort-session.ts';
import type { ModelFiles } from '../../../worker/storage/store.ts';
import golden from '../../fixtures/glimpse/golden.json' with { type: 'json' };
import { tinyLlavaSpec } from '../../fixtures/tiny-llava-spec.ts';
import { assets, openGpu } from './dawn-engine.ts';
import { diskFiles, filesWith } from './disk-store.ts';
import { useFacade } from './use-facade.ts';

useFacade();

const read = ({ path }: { path: string }): Buffer => readFileSync(join('test/fixtures/tiny-llava', path));
const llavaFiles = filesWith(async (file) => read(file));
const llava = await tinyLlavaSpec();
const { input_ids: prompt, answer } = golden.cases.find(({ name }) => name === 'no-picture')!;
const toy = { ...glimpse, canary: { prompt, tokens: answer.ids } };

async function load(kind: EngineKind, spec: ModelSpec, files: ModelFiles, device: Device = 'wasm') {
  const { signal } = new AbortController();
  const engine = await kind.open({ spec, device, assets }, { files, emit: () => {}, signal });
  await engine.close();
  return engine.facts;
}

describe.each<[string, EngineKind, ModelSpec, ModelFiles]>([
  ['onnx', onnxEngine, toy, diskFiles],
  ['transformers', transformersEngine, llava, llavaFiles],
])('on the engine %s', (name, kind, spec, files) => {
  const { canary } = spec;

  test('a model that gives the known answer is used', async () => {
    expect(await load(kind, spec, files)).toMatchObject({ engine: name, device: 'wasm' });
  });

  test('one that gives another answer is refused, with the token that differs', async () => {
    const tokens = canary!.tokens.with(2, 5);
    const loading = load(kind, { ...spec, canary: { ...canary!, tokens } }, files);
    await expect(loading).rejects.toMatchObject({
      code: 'unsupported_device',
      message: expect.stringMatching(
        /other tokens than .* \(wasm \w+, the canary's token 2 is 5, and \d+ was sampled\)\. The model's files or the canary/,
      ),
    });
  });

  test('a token that does not exist is a defect of the spec', async () => {
    const loading = load(kind, { ...spec, canary: { ...canary!, prompt: [99_999] } }, files);
    await expect(loading).rejects.toMatchObject({
      code: 'load_failed',
      message: expect.stringContaining('vocabulary'),
    });
  });
});

describe('where a file makes a variant wrong, the next is used, and the reason says why', () => {
  test.each([
    // Each token gets the embedding of another: everything is finite, and GPU and CPU agree.
    ['embed_tokens', rotated, /webgpu fp32, the canary's token 0 is \d+, and \d+ was sampled/],
    ['vision_encoder', spoiled, /webgpu fp32, an image's features are not finite numbers/],
  ])('%s', { tags: ['long'], timeout: 600_000 }, async (graph, change, reason) => {
    const variants = llava.variants.toSorted((one, other) => one.dtype.localeCompare(other.dtype));
    expect(variants.map(({ dtype }) => dtype)).toEqual(['fp32', 'q4']);
    const changed = filesWith(async (file) => (file.path === `onnx/${graph}.onnx` ? change(read(file)) : read(file)));
    (await openGpu()).close();
    const facts = await load(transformersEngine, { ...llava, variants }, changed, 'webgpu');
    expect(facts).toMatchObject({ device: 'webgpu', dtype: 'q4' });
    expect(facts.reason).toMatch(reason);
  });
});

/** A file whose numbers, but for those at its ends, are others' by some rows. */
function rotated(file: Buffer): Buffer {
  const [from, to] = [1024, file.length - 1024];
  const shift = 3 * 64 * 4;
  return Buffer.concat([
    file.subarray(0, from),
    file.subarray(from + shift, to),
    file.subarray(from, from + shift),
    file.subarray(to),
  ]);
}

/** A file with a number in its weights that is not one. */
function spoiled(file: Buffer): Buffer {
  const changed = Buffer.from(file);
  changed.writeFloatLE(NaN, file.length / 2 - ((file.length / 2) % 4));
  return changed;
}

test('a canary of a page or an archive is two lists of tokens', () => {
  expect(checkModel(llava, 'model')).toBeTruthy();
  expect(readSpec(JSON.stringify(llava)).canary).toEqual(llava.canary);
  for (const wrong of [{ prompt: [] }, { tokens: [-1] }, { prompt: [0.5] }, { tokens: Array(257).fill(1) }]) {
    const spec = { ...llava, canary: { ...llava.canary, ...wrong } };
    expect(() => checkModel(spec, 'model')).toThrow(/model\.canary\.(prompt|tokens)/);
    expect(() => readSpec(JSON.stringify(spec))).toThrow(/canary/);
  }
});

test('a self-test that finds no memory on wasm says so, and blames no request', async () => {
  vi.spyOn(Session.prototype, 'run').mockRejectedValue(new Error('std::bad_alloc'));
  await expect(load(transformersEngine, llava, llavaFiles)).rejects.toMatchObject({
    code: 'unsupported_device',
    message: expect.stringMatching(/no memory/),
  });
  vi.restoreAllMocks();
});
