// @module-tag long
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Device } from '../../../src/protocol/model-spec.ts';
import { argmax } from '../../../worker/sampling/cpu-sampler.ts';
import type { PromptImage } from '../../../worker/vision/vision-inputs.ts';
import { nativeDecoder, type NativeDecoder, nativeFeatures } from './native.ts';
import { fillStandin, standinAvailable, standinFile } from '../../../tools/standin.mjs';
import { imageOfValues } from './test-images.ts';
import { type Engine, openEngine } from './dawn-engine.ts';

/** Logits of this model lie within 13 of each other; kernels differ in the order of their float32 sums, by up to 9e-6. */
const TOLERANCE = 5e-5;

/** From a few tokens to several chunks. On a software adapter 700 would take many minutes more. */
const PROMPTS = { wasm: [14, 80, 700], webgpu: [14, 40, 80] };
const STEPS = 4;

/** Arbitrary ids: the weights are random as well. */
function prompt(length: number): Int32Array {
  return Int32Array.from({ length }, (_, at) => (at * 7919 + length) % 49_000);
}

/** A crop of smooth noise, as normalised pixels. */
function crop(size: number): PromptImage {
  const values = Float32Array.from({ length: 3 * size * size }, (_, at) => Math.sin(at * 0.013) * Math.cos(at / size));
  return imageOfValues({ key: 'crop', crops: 1, tokens: 64 }, size, values);
}

describe.skipIf(!standinAvailable)('the full-size stand-in, against native onnxruntime on the same files', () => {
  let native: NativeDecoder;

  beforeAll(async () => {
    fillStandin('q4');
    native = await nativeDecoder(standinFile('embed_tokens_q4'), standinFile('decoder_model_merged_q4'));
  }, 120_000);

  describe.each<Device>(['wasm', 'webgpu'])('on %s', { timeout: 900_000 }, (device) => {
    let engine: Engine;

    beforeAll(async () => {
      engine = await openEngine(device, (name) => readFileSync(standinFile(`${name}_q4`)), 512);
    }, 300_000);

    afterAll(() => engine.close());

    const options = { tags: device === 'webgpu' ? ['nightly'] : [] };

    test.each(PROMPTS[device])('logits and greedy ids after %i tokens', options, async (length) => {
      const ids = prompt(length);
      const wanted = await native.answer(ids, STEPS);
      const { decoder } = engine;
      await decoder.reset(length + STEPS);
      await decoder.prefill(ids, -1, [], new AbortController().signal);
      for (const step of wanted) {
        const logits = await decoder.logits();
        expect(furthest(logits, step.logits)).toBeLessThan(TOLERANCE);
        expect(argmax(logits)).toBe(step.id);
        await decoder.step(step.id);
      }
    });
  });
});

test.skipIf(!standinAvailable)(
  'features of a crop, on wasm, are those of native onnxruntime',
  { timeout: 300_000 },
  async () => {
    fillStandin('q4');
    const image = crop(512);
    const wanted = await nativeFeatures(standinFile('vision_encoder_q4'), image);
    const engine = await openEngine('wasm', (name) => readFileSync(standinFile(`${name}_q4`)), 512);
    const [features] = await engine.vision.encode([image], new AbortController().signal);
    const data = features?.data;
    if (!(data instanceof Float32Array)) throw new Error('no float32 features');
    expect(furthest(data, wanted)).toBeLessThan(TOLERANCE);
    await engine.close();
  },
);

test.skipIf(standinAvailable)('the stand-in is not here: set NEARSIGHT_SHARED to the folder that makes it', () => {});

function furthest(one: Float32Array, other: Float32Array): number {
  return one.reduce((most, value, at) => Math.max(most, Math.abs(value - (other[at] ?? NaN))), 0);
}
