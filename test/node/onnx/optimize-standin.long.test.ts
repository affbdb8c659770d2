// @module-tag long
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { standinFile } from '../../../tools/standin.mjs';
import { encoderInputs } from '../../../worker/families/idefics3/idefics3-inputs.ts';
import { decode } from '../../../worker/onnx/model/graph.ts';
import { optimizeDecoder } from '../../../worker/onnx/optimize/optimize-decoder.ts';
import { optimizeVision } from '../../../worker/onnx/optimize/optimize-vision.ts';
import { census, distance, encodeViews, evaluate, Native, readAll } from './optimize-graphs.ts';

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
    test.skipIf(!filled(name))('the same logits after surgery', async () => {
      const model = new Uint8Array(readFileSync(standinFile(name)));
      const operated = await optimizeDecoder(model, { positions: 4096, evaluate });
      expect(operated.outcomes.filter(({ reason }) => reason !== undefined)).toEqual([]);
      expect(operated.graph.length).toBeLessThan(250_000);
      const expected = await run(model);
      const actual = await run(operated);
      for (const [i, logits] of expected.entries()) {
        expect(distance(logits, actual[i] ?? [])).toBeLessThan(tolerance);
      }
      const left = census(decode(operated.graph).nodes);
      expect(left).not.toHaveProperty('com.microsoft.RotaryEmbedding');
      expect(left).toMatchObject({ Gather: 1, 'com.microsoft.GroupQueryAttention': 30 });
    });
  },
);

describe('SmolVLM-256M in full size: 4-bit weights, widened for wasm (skipped where fill.mjs has not written it)', () => {
  const name = 'decoder_model_merged_q4';

  test.skipIf(!filled(name))(
    'the same logits as those of the file as it is',
    async () => {
      const model = new Uint8Array(readFileSync(standinFile(name)));
      const operated = await optimizeDecoder(model, { positions: 4096, evaluate, memoryBudget: { bytes: 640 << 20 } });
      expect(operated.outcomes.filter(({ reason }) => reason !== undefined)).toEqual([]);
      expect(census(decode(operated.graph).nodes)).not.toHaveProperty('com.microsoft.MatMulNBits');
      // Nothing of it is made yet.
      const [, ...late] = operated.externalData;
      // 210 in the layers, and the logits' in four parts.
      expect(late).toHaveLength(214);
      expect(Math.max(...late.map(({ data }) => data.byteLength))).toBeLessThan(32 << 20);
      expect(late.reduce((sum, { data }) => sum + data.byteLength, 0)).toBe(538_214_400);
      expect(late.reduce((sum, { data }) => sum + data.buffer.byteLength, 0)).toBe(0);
      const expected = await run(model);
      const actual = await run(operated);
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
      'the same features after surgery, attention: %s',
      async (attention) => {
        const model = new Uint8Array(readFileSync(standinFile(name)));
        const operated = await optimizeVision(model, { inputs: encoderInputs(512, 0), evaluate, attention });
        expect(operated.outcomes.filter(({ reason }) => reason !== undefined)).toEqual([]);
        const before = await Native.open(model);
        const expected = await encodeViews(before, 1, 512);
        await before.close();
        const after = await Native.open(operated);
        const actual = await encodeViews(after, 1, 512);
        await after.close();
        expect(actual.dims).toEqual(expected.dims);
        expect(distance(expected.data, actual.data)).toBeLessThan(tolerance);
      },
      300_000,
    );
  },
);
