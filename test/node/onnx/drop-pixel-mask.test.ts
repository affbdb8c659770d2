import { describe, expect, test } from 'vitest';
import { encoderInputs } from '../../../worker/families/idefics3/idefics3-inputs.ts';
import {
  BOOL,
  decode,
  encode,
  FLOAT,
  FLOAT16,
  type Graph,
  INT64,
  makeTensor,
  makeValue,
  type Node,
} from '../../../worker/onnx/model/graph.ts';
import { makeNode, setInt } from '../../../worker/onnx/model/graph-edit.ts';
import { Writer } from '../../../worker/onnx/model/protobuf.ts';
import { dropPixelMask } from '../../../worker/onnx/optimize/drop-pixel-mask.ts';
import { census, distance, encodeCrops, evaluate, Native, pseudoRandom, singleFile } from './optimize-graphs.ts';

const size = 8;
const WIDTH = 4;

interface Quirks {
  /** Casts the pixels to float16, like encoders in half precision, and the crops back to float32. */
  halves?: boolean;
  /** Multiplies the pixels before the convolution. */
  scaled?: boolean;
  /** Positions depend on the crop. */
  running?: boolean;
  /** Position embeddings are added to the features, which broadcasts; or concatenated, which does not. */
  read?: 'Add' | 'Concat';
}

function setInts(node: Node, name: string, values: readonly number[]): void {
  const attribute = new Writer().text(1, name);
  for (const value of values) attribute.integer(8, value);
  node.attributes.set(name, attribute.integer(20, 7).finish());
}

/** Selects crops that are not empty, embeds patches of 4 × 4 pixels, and counts positions in the mask. */
function toyEncoder({ halves = false, scaled = false, running = false, read = 'Add' }: Quirks = {}): Graph {
  const graph: Graph = {
    nodes: [],
    tensors: new Map(),
    inputs: [
      makeValue('pixel_values', FLOAT, ['b', 'n', 3, 'h', 'w']),
      makeValue('pixel_attention_mask', BOOL, ['b', 'n', 'h', 'w']),
    ],
    outputs: [makeValue('image_features', FLOAT, ['n', 'rows', 'width'])],
    opsets: new Map([['', 14]]),
    shapes: [],
    rest: [],
    modelRest: [Uint8Array.of(8, 8)],
    source: { graph: new Uint8Array(), externalData: [] },
  };
  const ints = (name: string, ...values: number[]): string => {
    const data = new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
    graph.tensors.set(name, makeTensor(name, INT64, [values.length], data));
    return name;
  };
  const floats = (name: string, dims: number[], seed: number): string => {
    const data = pseudoRandom(
      dims.reduce((product, dim) => product * dim, 1),
      seed,
    );
    graph.tensors.set(name, makeTensor(name, FLOAT, dims, new Uint8Array(data.buffer)));
    return name;
  };
  const add = (
    type: string,
    inputs: string[],
    output: string,
    set: (node: ReturnType<typeof makeNode>) => void = () => {},
  ): string => {
    const node = makeNode(type, inputs, [output]);
    set(node);
    graph.nodes.push(node);
    return output;
  };
  const to = (type: number) => (node: ReturnType<typeof makeNode>) => setInt(node, 'to', type);

  const pixels = halves ? add('Cast', ['pixel_values'], 'pixels.half', to(FLOAT16)) : 'pixel_values';
  add('Reshape', [pixels, ints('crops.shape', -1, 3, size, size)], 'crops');
  add('Reshape', ['pixel_attention_mask', ints('mask.shape', -1, size * size)], 'mask');
  add('Cast', ['mask'], 'mask.float', to(FLOAT));
  add('ReduceMax', ['mask.float'], 'any', (node) => {
    setInts(node, 'axes', [1]);
    setInt(node, 'keepdims', 0);
  });
  add('NonZero', ['any'], 'real');
  add('Transpose', ['real'], 'real.rows', (node) => setInts(node, 'perm', [1, 0]));
  let crops = add('GatherND', ['crops', 'real.rows'], 'real.crops');
  if (halves) crops = add('Cast', [crops], 'crops.float', to(FLOAT));
  if (scaled) crops = add('Mul', [crops, floats('factor', [1], 5)], 'crops.scaled');
  add('Conv', [crops, floats('conv.weight', [WIDTH, 3, 4, 4], 1)], 'patches', (node) =>
    setInts(node, 'strides', [4, 4]),
  );
  add('Reshape', ['patches', ints('rows.shape', 0, WIDTH, 4)], 'columns');
  add('Transpose', ['columns'], 'features', (node) => setInts(node, 'perm', [0, 2, 1]));

  // The position of a patch is the number of real patches before it; all are real.
  add('Slice', ['mask', ints('from', 0), ints('until', 4), ints('axis1', 1)], 'patch.mask');
  add('Cast', ['patch.mask'], 'patch.int', to(INT64));
  add('CumSum', ['patch.int', 'axis1'], 'counted');
  add('Sub', ['counted', ints('one', 1)], 'positions');
  let ids = 'positions';
  if (running) {
    add('Transpose', ['real'], 'crop.number', (node) => setInts(node, 'perm', [1, 0]));
    ids = add('Add', ['positions', 'crop.number'], 'positions.running');
  }
  add('Gather', [floats('table', [1 << 13, WIDTH], 2), ids], 'embedded', (node) => setInt(node, 'axis', 0));
  add(read, ['features', 'embedded'], 'image_features', (node) => {
    if (read === 'Concat') setInt(node, 'axis', 1);
  });
  return graph;
}

describe('dropping the pixel mask', () => {
  test.each([false, true])(
    'gives the same features without the mask, for any number of crops; float16: %s',
    async (halves) => {
      const graph = toyEncoder({ halves });
      const before = await Native.open(encode(graph));
      expect(await dropPixelMask(graph, encoderInputs(size, 0), evaluate)).toBeUndefined();
      expect(decode(singleFile(encode(graph))).inputs.map(({ name, dims }) => [name, dims])).toEqual([
        ['pixel_values', [1, 'num_images', 3, size, size]],
      ]);
      for (const type of ['NonZero', 'GatherND', 'CumSum']) expect(census(graph.nodes)).not.toHaveProperty(type);
      expect(census(graph.nodes)['Cast']).toBe(halves ? 2 : undefined);
      const after = await Native.open(encode(graph));
      for (const count of [1, 2, 5]) {
        const expected = await encodeCrops(before, count, size);
        const actual = await encodeCrops(after, count, size);
        expect(actual.dims).toEqual(expected.dims);
        expect(distance(expected.data, actual.data)).toBeLessThan(1e-6);
      }
    },
  );

  const SKIPPED: readonly [Quirks, RegExp][] = [
    [{ scaled: true }, /crops are changed before the first convolution/],
    [{ running: true }, /positions.running is not one constant for every crop/],
    [{ read: 'Concat' }, /positions is not one constant for every crop/],
  ];

  test.each(SKIPPED)('is skipped for %o, and the graph is unchanged', async (quirks, reason) => {
    const graph = toyEncoder(quirks);
    const before = encode(graph);
    expect(await dropPixelMask(graph, encoderInputs(size, 0), evaluate)).toMatch(reason);
    expect(encode(graph)).toEqual(before);
  });

  test.each([
    [{ constant: [] }, 'no input is constant'],
    [{ constant: ['pixel_values', 'pixel_attention_mask'] }, 'there is not exactly one input that differs'],
  ])('is skipped for inputs of another family, %o', async (other, reason) => {
    const inputs = { ...encoderInputs(size, 0), ...other };
    expect(await dropPixelMask(toyEncoder(), inputs, evaluate)).toContain(reason);
  });
});
