// @module-tag long
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { standinFile } from '../../../tools/standin.mjs';
import { encoderInputs } from '../../../worker/families/idefics3/idefics3-inputs.ts';
import { decode } from '../../../worker/onnx/model/graph.ts';
import { optimizeDecoder } from '../../../worker/onnx/optimize/optimize-decoder.ts';
import { optimizeVision } from '../../../worker/onnx/optimize/optimize-vision.ts';
import { census, distance, encodeCrops, evaluate, Native, readAll, singleFile } from './optimize-graphs.ts';

/** A prompt, a second chunk of it, two tokens. */
const CHUNKS = [40, 9, 1, 1];

const filled = (name: string): boolean => existsSync(standinFile(name));

const DECODERS = [
  ['decoder_model_merged_q4', 1e-5],
  ['decoder_model_merged_q4f16', 2e-3],
] as const;

describe.each(DECODERS)(
  'SmolVLM-256M in full size: %s (skipped where fill.mjs has not written it)',
  (name, tolerance) => {
    test.skipIf(!filled(name))('the same logits after all passes', async () => {
      const model = new Uint8Array(readFileSync(standinFile(name)));
      const optimized = await optimizeDecoder(singleFile(model), { positions: 4096, evaluate });
      expect(optimized.outcomes.filter(({ reason }) => reason !== undefined)).toEqual([]);
      expect(optimized.graph.byteLength).toBeLessThan(250_000);
      const expected = await run(model);
      const actual = await run(optimized);
      for (const [i, logits] of expected.entries()) {
        expect(distance(logits, actual[i] ?? [])).toBeLessThan(tolerance);
      }
      const left = census(decode(optimized).nodes);
      expect(left).not.toHaveProperty('com.microsoft.RotaryEmbedding');
      expect(left).toMatchObject({ Gather: 1, 'com.microsoft.GroupQueryAttention': 30 });
    });
  },
);

describe('SmolVLM-256M in full size: 4-bit weights, dequantized for wasm (skipped where fill.mjs has not written it)', () => {
  const name = 'decoder_model_merged_q4';

  test.skipIf(!filled(name))(
    'the same logits as the quantized file',
    async () => {
      const model = new Uint8Array(readFileSync(standinFile(name)));
      const optimized = await optimizeDecoder(singleFile(model), {
        positions: 4096,
        evaluate,
        memoryBudget: { bytes: 640 << 20 },
      });
      expect(optimized.outcomes.filter(({ reason }) => reason !== undefined)).toEqual([]);
      expect(census(decode(optimized).nodes)).not.toHaveProperty('com.microsoft.MatMulNBits');
      // None of the weights is computed yet.
      const [, ...lazy] = optimized.externalData;
      // 210 in the layers, and the logits' in four parts.
      expect(lazy).toHaveLength(214);
      expect(Math.max(...lazy.map(({ data }) => data.byteLength))).toBeLessThan(32 << 20);
      expect(lazy.reduce((sum, { data }) => sum + data.byteLength, 0)).toBe(538_214_400);
      expect(lazy.reduce((sum, { data }) => sum + (data as Uint8Array).buffer.byteLength, 0)).toBe(0);
      const expected = await run(model);
      const actual = await run(optimized);
      for (const [i, logits] of expected.entries()) expect(distance(logits, actual[i] ?? [])).toBeLessThan(1e-5);
    },
    60_000,
  );
});

async function run(model: Uint8Array | Awaited<ReturnType<typeof optimizeDecoder>>): Promise<Float32Array[]> {
  const decoder = await Native.open(model);
  const logits = await readAll(decoder, CHUNKS);
  await decoder.close();
  return logits;
}

const ENCODERS = [
  ['vision_encoder_q4', 2e-5],
  ['vision_encoder_q4f16', 2e-3],
] as const;

describe.each(ENCODERS)(
  'SmolVLM-256M in full size: %s (skipped where fill.mjs has not written it)',
  (name, tolerance) => {
    test.skipIf(!filled(name)).each([true, false])(
      'the same features after all passes, attention: %s',
      async (attention) => {
        const model = new Uint8Array(readFileSync(standinFile(name)));
        const optimized = await optimizeVision(singleFile(model), {
          inputs: encoderInputs(512, 0),
          evaluate,
          attention,
        });
        expect(optimized.outcomes.filter(({ reason }) => reason !== undefined)).toEqual([]);
        const before = await Native.open(model);
        const expected = await encodeCrops(before, 1, 512);
        await before.close();
        const after = await Native.open(optimized);
        const actual = await encodeCrops(after, 1, 512);
        await after.close();
        expect(actual.dims).toEqual(expected.dims);
        expect(distance(expected.data, actual.data)).toBeLessThan(tolerance);
      },
      300_000,
    );
  },
);
