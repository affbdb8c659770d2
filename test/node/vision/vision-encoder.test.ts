import * as ort from 'onnxruntime-node';
import { expect, test } from 'vitest';
import { encoderInputs, namedInputs } from '../../../worker/families/idefics3/idefics3-inputs.ts';
import type { Ort, Tensor } from '../../../worker/onnx/ort.ts';
import type { Session, Tensors } from '../../../worker/onnx/ort-session.ts';
import { cropsPerRun, VisionEncoder } from '../../../worker/vision/vision-encoder.ts';
import type { EncoderInputs, NamedTensors, PromptImage } from '../../../worker/vision/vision-inputs.ts';

const { signal } = new AbortController();
const api = ort as never as Ort;

/** A session with these inputs that returns the rows of `encode`. */
function session(inputs: Record<string, Tensor.Type>, encode: (feeds: Tensors) => { rows: number; value: number }) {
  const runs: Tensors[] = [];
  const fake = {
    inputs: new Map(Object.entries(inputs).map(([name, type]) => [name, { type, shape: [] }])),
    async run(feeds: Tensors) {
      runs.push(feeds);
      const { rows, value } = encode(feeds);
      return { image_features: new ort.Tensor('float32', new Float32Array(rows).fill(value), [1, rows, 1]) };
    },
  };
  return { session: fake as never as Session, runs };
}

/** Another kind of family: patches of images in their own aspect ratio, with a different number of rows each. */
const NAFLEX: EncoderInputs = {
  example: (count, fill) =>
    patches(
      Array.from({ length: count }, () => [1, 1]),
      fill,
    ),
  constant: [],
  activationBytesPerCrop: 1,
};

type Shape = readonly [height: number, width: number];
const MAX_PATCHES = 8;

function patches(shapes: readonly Shape[], fill: (length: number) => Float32Array<ArrayBuffer>) {
  const mask = shapes.flatMap(([h, w]) => Array.from({ length: MAX_PATCHES }, (_, at) => BigInt(at < h * w ? 1 : 0)));
  return {
    pixel_values: {
      type: 'float32',
      dims: [shapes.length, MAX_PATCHES, 1],
      data: fill(shapes.length * MAX_PATCHES),
    },
    pixel_attention_mask: {
      type: 'int64',
      dims: [shapes.length, MAX_PATCHES],
      data: BigInt64Array.from(mask),
    },
    spatial_shapes: {
      type: 'int64',
      dims: [shapes.length, 2],
      data: BigInt64Array.from(shapes.flat(), BigInt),
    },
  } as const satisfies NamedTensors;
}

function naflexImage(key: string, shapes: readonly Shape[]): PromptImage {
  return {
    key,
    crops: shapes.length,
    tokens: shapes.reduce((sum, [h, w]) => sum + h * w, 0),
    open: async () => ({
      batch: async (first, count) => patches(shapes.slice(first, first + count), (length) => new Float32Array(length)),
      close() {},
    }),
  };
}

test('encodes images with any number of crops, and of rows for each, from the inputs that the family names', async () => {
  const types = { pixel_values: 'float32', pixel_attention_mask: 'int64', spatial_shapes: 'int64' } as const;
  let batch = 0;
  const { session: encoder, runs } = session(types, (feeds) => {
    const set = [...(feeds['pixel_attention_mask']!.data as BigInt64Array)].filter((each) => each === 1n);
    return { rows: set.length, value: batch++ };
  });
  const vision = new VisionEncoder(api, encoder, NAFLEX);
  const wide = naflexImage('wide', [
    [1, 4],
    [1, 4],
    [1, 2],
  ]);
  const small = naflexImage('small', [[3, 2]]);
  const rowsOf = (tensors: readonly Tensor[]): [number, number][] =>
    tensors.map(({ size, data }) => [size, Number(data[0])]);
  const expected = [
    [4, 0],
    [4, 1],
    [2, 2],
    [6, 3],
  ];
  expect(rowsOf(await vision.encode([wide, small], signal))).toEqual(expected);
  expect(runs.map((feeds) => [...(feeds['spatial_shapes']!.data as BigInt64Array)])).toEqual([
    [1n, 4n],
    [1n, 4n],
    [1n, 2n],
    [3n, 2n],
  ]);
  expect(rowsOf(await vision.encode([small, wide], signal))).toEqual([expected[3], ...expected.slice(0, 3)]);
  expect(runs).toHaveLength(4);
});

test('an input that the processor does not make is reported when the encoder is opened', () => {
  const open = (inputs: Record<string, Tensor.Type>) =>
    new VisionEncoder(api, session(inputs, () => ({ rows: 0, value: 0 })).session, encoderInputs(2, 1));
  expect(() => open({ pixel_values: 'float32' })).not.toThrow();
  expect(() => open({ pixel_values: 'float32', image_grid_thw: 'int64' })).toThrow(
    expect.objectContaining({ code: 'load_failed', message: expect.stringContaining('image_grid_thw (int64)') }),
  );
  expect(() => open({ pixel_values: 'float16' })).toThrow('pixel_values (float16)');
});

test('a wrong number of rows is an error, after which the inputs are closed and nothing is cached', async () => {
  let closed = 0;
  const { session: encoder, runs } = session({ pixel_values: 'float32' }, () => ({ rows: 3, value: 0 }));
  const vision = new VisionEncoder(api, encoder, encoderInputs(2, 1));
  const image: PromptImage = {
    key: 'image',
    crops: 1,
    tokens: 4,
    open: async () => ({
      batch: async (_, count) => namedInputs(new Float32Array(12), count, 2),
      close: () => void closed++,
    }),
  };
  await expect(vision.encode([image], signal)).rejects.toThrow('returned 3 rows for 4 image tokens');
  await expect(vision.encode([image], signal)).rejects.toMatchObject({ code: 'internal' });
  expect([runs.length, closed]).toEqual([2, 2]);
});

test('runs as many crops at once as fit in a buffer, four at most; one without a GPU', () => {
  const limits = { maxStorageBufferBindingSize: 1000, maxBufferSize: 600 } as GPUSupportedLimits;
  const crops = (bytes: number) => cropsPerRun(bytes, limits);
  expect([100, 200, 300, 301, 5000].map(crops)).toEqual([4, 3, 2, 1, 1]);
  expect(cropsPerRun(1, undefined)).toBe(1);
});
