// @module-tag long
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { selfTestDecoder } from '../../../worker/self-test/decoder-self-test.ts';
import { maxRelativeDifference } from '../../../worker/self-test/kernel-mismatch.ts';
import { argmax } from '../../../worker/sampling/cpu-sampler.ts';
import { nativeDecoder, nativeFeatures } from './native.ts';
import { imageOfValues } from './test-images.ts';
import { type Engine, openEngine } from './dawn-engine.ts';

const { signal } = new AbortController();
const IMAGE = 1278;
const STEPS = 3;

/** As a share of the range: half precision has 11 bits, and its sums are taken in another order, layer after layer. */
const TOLERANCE = 0.005;

/** A crop of smooth noise, as normalised pixels. */
const crop = imageOfValues(
  { key: 'crop', crops: 1, tokens: 9 },
  96,
  Float32Array.from({ length: 3 * 96 ** 2 }, (_, at) => Math.sin(at * 0.013) * Math.cos(at / 96)),
);

const file = (name: string): string =>
  fileURLToPath(new URL(`../../../models/glimpse/onnx/${name}_q4f16.onnx`, import.meta.url));

/** Dawn on lavapipe: Chromium's software adapter has no `shader-f16`. */
describe('glimpse in half precision, on the GPU', { timeout: 900_000 }, () => {
  let engine: Engine;

  beforeAll(async () => {
    engine = await openEngine('webgpu', (name) => readFileSync(file(name)), 96, 'float16');
  }, 900_000);

  afterAll(() => engine.close());

  test('passes the self-test', async () => {
    await selfTestDecoder(engine.decoder, 1280, signal);
  });

  test('has the logits of native onnxruntime on the same files, after an image and text', async () => {
    const { decoder, vision } = engine;
    const ids = Int32Array.from({ length: 40 }, (_, at) => (at > 4 && at < 14 ? IMAGE : 100 + 29 * at));
    const native = await nativeDecoder(file('embed_tokens'), file('decoder_model_merged'));
    const features = await nativeFeatures(file('vision_encoder'), crop);
    const wanted = await native.answer(ids, STEPS, { id: IMAGE, features });
    await decoder.reset(ids.length + STEPS);
    await decoder.prefill(ids, IMAGE, await vision.encode([crop], signal), signal);
    for (const { id, logits } of wanted) {
      const seen = await decoder.logits();
      expect(maxRelativeDifference(logits, seen)).toBeLessThan(TOLERANCE);
      expect(argmax(seen)).toBe(id);
      await decoder.step(id);
    }
  });
});
