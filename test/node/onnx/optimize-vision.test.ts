import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { encoderInputs } from '../../../worker/families/idefics3/idefics3-inputs.ts';
import { decode } from '../../../worker/onnx/model/graph.ts';
import { optimizeVision } from '../../../worker/onnx/optimize/optimize-vision.ts';
import { tinyAvailable, tinyFile, tinyMissing } from '../../fixtures/tiny-folders.ts';
import { census, distance, encodeCrops, evaluate, glimpse, Native, singleFile } from './optimize-graphs.ts';

const size = 96;

/** Half precision has 11 bits, and sums have another order. */
const FILES = [
  ['vision_encoder_q4', 1e-5],
  ['vision_encoder_q4f16', 2e-3],
] as const;

describe.each(FILES)('glimpse: %s', (name, tolerance) => {
  const model = glimpse(name);
  const file = singleFile(model);

  test.each([true, false])('the same features after all passes, attention: %s', async (attention) => {
    const optimized = await optimizeVision(file, { inputs: encoderInputs(size, 0), evaluate, attention });
    expect(optimized.outcomes.filter(({ reason }) => reason !== undefined)).toEqual([]);
    expect(decode(optimized).inputs.map(({ name: input }) => input)).toEqual(['pixel_values']);
    const before = await Native.open(model);
    const after = await Native.open(optimized);
    for (const count of [1, 3]) {
      const expected = await encodeCrops(before, count, size);
      const actual = await encodeCrops(after, count, size);
      expect(actual.dims).toEqual(expected.dims);
      expect(distance(expected.data, actual.data)).toBeLessThan(tolerance);
    }
    await before.close();
    await after.close();
  });

  test('the remaining operators have kernels on the GPU', async () => {
    const optimized = await optimizeVision(file, { inputs: encoderInputs(size, 0), evaluate, attention: true });
    const left = census(decode(optimized).nodes);
    for (const type of ['NonZero', 'GatherND', 'ReduceMean', 'ReduceMax', 'Tanh', 'Softmax']) {
      expect(left).not.toHaveProperty(type);
    }
    expect(left).toMatchObject({
      LayerNormalization: 13,
      'com.microsoft.MultiHeadAttention': 6,
      'com.microsoft.FastGelu': 6,
    });
  });

  test('optimizing an optimized graph changes nothing', async () => {
    const options = { inputs: encoderInputs(size, 0), evaluate, attention: true };
    const once = await optimizeVision(file, options);
    const twice = await optimizeVision(once, options);
    expect(twice.outcomes.every(({ reason }) => reason !== undefined)).toBe(true);
    expect(twice.graph).toBe(once.graph);
  });

  test('ORT refuses crops of another size', async () => {
    const after = await Native.open(
      await optimizeVision(file, { inputs: encoderInputs(size, 0), evaluate, attention: false }),
    );
    await expect(encodeCrops(after, 1, size * 2)).rejects.toThrow(/pixel_values/);
    await after.close();
  });
});

test.skipIf(tinyAvailable)(tinyMissing, () => {});

describe.skipIf(!tinyAvailable).each(['', '_q4'])('a tiny Granite-Docling: vision_encoder%s', (suffix) => {
  test('no pass is stopped by external data', async () => {
    const name = `vision_encoder${suffix}.onnx`;
    const read = (path: string): Uint8Array => readFileSync(tinyFile('granite-docling-tiny', `onnx/${path}`));
    const data = { path: `${name}_data`, data: read(`${name}_data`) };
    const file = { graph: read(name), externalData: [data] };
    const optimized = await optimizeVision(file, { inputs: encoderInputs(512, 0), evaluate, attention: true });
    // Of float32 matrices, none adds a bias by itself.
    const skipped = optimized.outcomes.flatMap(({ pass, reason }) => (reason === undefined ? [] : [pass]));
    expect(skipped).toEqual(suffix === '' ? ['fuse-bias'] : []);
    expect(optimized.externalData).toContainEqual(data);
    const [before, after] = [await Native.open(file), await Native.open(optimized)];
    const [expected, actual] = [await encodeCrops(before, 2, 512), await encodeCrops(after, 2, 512)];
    expect(distance(expected.data, actual.data)).toBeLessThan(1e-5);
    await before.close();
    await after.close();
  });
});
