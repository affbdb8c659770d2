import {
  encode,
  FLOAT,
  FLOAT16,
  type Graph,
  INT64,
  makeInts,
  makeTensor,
  makeValue,
} from '../../../worker/onnx/model/graph.ts';
import { makeNode, setFloat, setInts } from '../../../worker/onnx/model/graph-edit.ts';
import { Writer } from '../../../worker/onnx/model/protobuf.ts';
import { pseudoRandom } from './optimize-graphs.ts';

const HIDDEN = 32;
const HEADS = 4;
const KV_HEADS = 2;
const HEAD = 16;
const LAYERS = 2;
const VOCAB = 24;

/**
 * A small decoder as exporters write it for MultiHeadAttention: keys and values of each head are repeated for the heads of its
 * group, and the causal mask is made for the new rows alone.
 */
export function multiHeadDecoder(type: 'float32' | 'float16'): Uint8Array<ArrayBuffer> {
  const element = type === 'float32' ? FLOAT : FLOAT16;
  const graph: Graph = {
    nodes: [],
    tensors: new Map(),
    inputs: [
      makeValue('inputs_embeds', FLOAT, ['batch', 'rows', HIDDEN]),
      makeValue('attention_mask', INT64, ['batch', 'total']),
    ],
    outputs: [makeValue('logits', FLOAT, ['batch', 'rows', VOCAB])],
    opsets: new Map([
      ['', 21],
      ['com.microsoft', 1],
    ]),
    shapes: [],
    rest: [new Writer().text(2, 'toy').finish()],
    modelRest: [new Writer().integer(1, 10).finish()],
    source: { graph: new Uint8Array(), externalData: [] },
  };
  const add = (op: string, inputs: string[], output: string, ints: Record<string, number> = {}): string => {
    graph.nodes.push(makeNode(op, inputs, [output], ints));
    return output;
  };
  const ints = (name: string, dims: number[], ...values: number[]): string => {
    graph.tensors.set(name, makeInts(name, dims, values));
    return name;
  };
  const floats = (name: string, dims: number[], data: Float32Array<ArrayBuffer>): string => {
    graph.tensors.set(name, makeTensor(name, FLOAT, dims, new Uint8Array(data.buffer)));
    return name;
  };
  let seed = 1;
  const product = (input: string, rows: number, columns: number, output: string): string => {
    const weights = pseudoRandom(rows * columns, seed++).map((x) => x / Math.sqrt(rows));
    return add('MatMul', [input, floats(`${output}/weight`, [rows, columns], weights)], output);
  };
  const bias = causalBias(add, ints, floats, element);
  const repeat = (part: string, source: string, layer: number): string => {
    const name = `${part}.${layer}`;
    const [past, present] = [`past_key_values.${layer}.${part}`, `present.${layer}.${part}`];
    graph.inputs.push(makeValue(past, element, ['batch', KV_HEADS, 'past', HEAD]));
    graph.outputs.push(makeValue(present, element, ['batch', KV_HEADS, 'total', HEAD]));
    const transpose = (from: string, to: string): string => {
      const node = makeNode('Transpose', [from], [to]);
      setInts(node, 'perm', [0, 2, 1, 3]);
      graph.nodes.push(node);
      return to;
    };
    add('Reshape', [source, ints('split', [4], 0, 0, KV_HEADS, HEAD)], `${name}/split`);
    transpose(`${name}/split`, `${name}/heads`);
    add('Concat', [past, `${name}/heads`], present, { axis: 2 });
    add('Unsqueeze', [present, ints('axis2', [1], 2)], `${name}/unsqueezed`);
    add('Expand', [`${name}/unsqueezed`, ints('repeated', [5], 1, 1, HEADS / KV_HEADS, 1, 1)], `${name}/expanded`);
    // The number of positions stands between two that are known.
    add('Shape', [present], `${name}/shape`);
    add('Gather', [`${name}/shape`, 'axis2'], `${name}/total`, { axis: 0 });
    add(
      'Concat',
      [ints('one1', [1], 1), ints('heads1', [1], HEADS), `${name}/total`, ints('size1', [1], HEAD)],
      `${name}/joined_shape`,
      { axis: 0 },
    );
    add('Reshape', [`${name}/expanded`, `${name}/joined_shape`], `${name}/joined`);
    transpose(`${name}/joined`, `${name}/rows`);
    return add('Reshape', [`${name}/rows`, ints('flat', [3], 0, 0, HEADS * HEAD)], `${name}/repeated`);
  };
  const as = (value: string, to: number): string =>
    element === FLOAT ? value : add('Cast', [value], `${value}/${to}`, { to });
  let hidden = 'inputs_embeds';
  for (let layer = 0; layer < LAYERS; layer++) {
    const query = as(product(hidden, HIDDEN, HEADS * HEAD, `query.${layer}`), element);
    const key = repeat('key', as(product(hidden, HIDDEN, KV_HEADS * HEAD, `key.${layer}/new`), element), layer);
    const value = repeat('value', as(product(hidden, HIDDEN, KV_HEADS * HEAD, `value.${layer}/new`), element), layer);
    const attention = makeNode(
      'com.microsoft.MultiHeadAttention',
      [query, key, value, '', '', bias],
      [`attention.${layer}`],
      {
        num_heads: HEADS,
      },
    );
    setFloat(attention, 'scale', 0.25);
    graph.nodes.push(attention);
    const mixed = product(as(`attention.${layer}`, FLOAT), HEADS * HEAD, HIDDEN, `mixed.${layer}`);
    hidden = add('Add', [hidden, mixed], `hidden.${layer}`);
  }
  product(hidden, HIDDEN, VOCAB, 'logits');
  return encode(graph);
}

/** The bias [1, heads, rows, total], from a mask [rows, rows]: several rows behind a past have none. */
function causalBias(
  add: (op: string, inputs: string[], output: string, ints?: Record<string, number>) => string,
  ints: (name: string, dims: number[], ...values: number[]) => string,
  floats: (name: string, dims: number[], data: Float32Array<ArrayBuffer>) => string,
  element: number,
): string {
  const limit = element === FLOAT ? -3.4e38 : -65_504;
  add('Shape', ['inputs_embeds'], 'embeds.shape');
  const rows = add('Gather', ['embeds.shape', ints('index1', [1], 1)], 'rows', { axis: 0 });
  add('Shape', ['attention_mask'], 'mask.shape');
  const total = add('Gather', ['mask.shape', 'index1'], 'total', { axis: 0 });
  const square = add('Concat', [rows, rows], 'square', { axis: 0 });
  add('Expand', [floats('hidden', [1], Float32Array.of(limit)), square], 'mask.full');
  const above = add('Trilu', ['mask.full', ints('diagonal', [], 1)], 'mask.above', { upper: 1 });
  add('Unsqueeze', [above, ints('axes01', [2], 0, 1)], 'mask.above4');
  const shape = add('Concat', [ints('one', [1], 1), 'one', rows, total], 'mask.shape4', { axis: 0 });
  add('Expand', ['mask.above4', shape], 'mask.causal');
  add('Add', ['mask.causal', floats('past_bias', [], Float32Array.of(0))], 'mask.biased');
  if (element !== FLOAT) add('Cast', ['mask.biased'], 'mask.typed', { to: element });
  return add('Tile', [element === FLOAT ? 'mask.biased' : 'mask.typed', ints('copies', [4], 1, HEADS, 1, 1)], 'bias');
}
