import {
  encode,
  FLOAT,
  FLOAT16,
  type Graph,
  INT32,
  INT64,
  makeTensor,
  makeValue,
} from '../../../worker/onnx/model/graph.ts';
import { makeNode, setFloat, setInt } from '../../../worker/onnx/model/graph-edit.ts';
import { Writer } from '../../../worker/onnx/model/protobuf.ts';
import { pseudoRandom } from './optimize-graphs.ts';

const HIDDEN = 32;
const HEADS = 2;
const HEAD = 16;
const LAYERS = 2;
const VOCAB = 24;

/** Variations of a toy decoder of late 2025 that the optimizer must recognise. */
export interface Quirks {
  /** Added to the bias: it is then more than a mask. */
  sink?: number;
  /** The bias hides positions so far back: attention has a sliding window. */
  window?: number;
  /** The last position is computed wrong: one too high. */
  offByOne?: boolean;
  /** Separate rotary nodes, as in exports of early 2025: with positions from the input, or computed; or with two tables. */
  rotary?: 'input' | 'computed' | 'key-tables';
  /** Without `num_logits_to_keep`: logits of all rows. */
  allRows?: boolean;
  /** Rows of the rotary tables; default: 256. */
  positions?: number;
}

/** Builds a graph node by node. */
class Builder {
  readonly graph: Graph = {
    nodes: [],
    tensors: new Map(),
    inputs: [],
    outputs: [],
    opsets: new Map([
      ['', 21],
      ['com.microsoft', 1],
    ]),
    shapes: [],
    rest: [new Writer().text(2, 'toy').finish()],
    modelRest: [new Writer().integer(1, 10).finish()],
    source: { graph: new Uint8Array(), externalData: [] },
  };
  #seed = 1;

  add(type: string, inputs: string[], output: string, attributes: Record<string, number> = {}): string {
    return this.#append(type, inputs, [output], attributes);
  }

  attention(inputs: string[], layer: number, attributes: Record<string, number>): string {
    const outputs = [`attention.${layer}`, `present.${layer}.key`, `present.${layer}.value`];
    return this.#append('com.microsoft.GroupQueryAttention', inputs, outputs, attributes);
  }

  #append(type: string, inputs: string[], outputs: string[], attributes: Record<string, number>): string {
    const node = makeNode(type, inputs, outputs);
    for (const [name, value] of Object.entries(attributes)) {
      if (Number.isInteger(value)) setInt(node, name, value);
      else setFloat(node, name, value);
    }
    this.graph.nodes.push(node);
    return outputs[0] ?? '';
  }

  ints(name: string, dims: number[], ...values: number[]): string {
    const data = BigInt64Array.from(values, BigInt);
    this.graph.tensors.set(name, makeTensor(name, INT64, dims, new Uint8Array(data.buffer)));
    return name;
  }

  floats(name: string, dims: number[], data: Float32Array<ArrayBuffer>): string {
    this.graph.tensors.set(name, makeTensor(name, FLOAT, dims, new Uint8Array(data.buffer)));
    return name;
  }

  weight(name: string, rows: number, columns: number): string {
    const scale = 1 / Math.sqrt(rows);
    return this.floats(
      name,
      [rows, columns],
      pseudoRandom(rows * columns, this.#seed++).map((x) => x * scale),
    );
  }
}

/**
 * A small decoder as exporters write them since late 2025: rotation inside attention, the last position from the
 * mask's shape, a bias from its values, `num_logits_to_keep`.
 */
export function toyDecoder(quirks: Quirks = {}): Uint8Array<ArrayBuffer> {
  const b = new Builder();
  b.graph.inputs.push(
    makeValue('inputs_embeds', FLOAT, ['batch', 'rows', HIDDEN]),
    makeValue('attention_mask', INT64, ['batch', 'total']),
  );
  if (quirks.rotary) b.graph.inputs.push(makeValue('position_ids', INT64, ['batch', 'rows']));
  if (!quirks.allRows) b.graph.inputs.push(makeValue('num_logits_to_keep', INT64));
  b.graph.outputs.push(makeValue('logits', FLOAT, ['batch', 'kept', VOCAB]));
  b.ints('zero', [], 0);
  b.ints('one', [], 1);
  b.ints('axis0', [1], 0);
  const { last, total, bias } = lengths(b, quirks);
  tables(b, quirks.positions ?? 256);
  let hidden = 'inputs_embeds';
  for (let layer = 0; layer < LAYERS; layer++) {
    hidden = addLayer(b, quirks, hidden, layer, [last, total, bias]);
  }
  if (!quirks.allRows) {
    b.add('Neg', ['num_logits_to_keep'], 'kept.from');
    b.add('Unsqueeze', ['kept.from', 'axis0'], 'kept.starts');
    b.ints('kept.ends', [1], Number.MAX_SAFE_INTEGER);
    hidden = b.add('Slice', [hidden, 'kept.starts', 'kept.ends', b.ints('axis1', [1], 1)], 'kept');
  }
  b.add('MatMul', [hidden, b.weight('head', HIDDEN, VOCAB)], 'scores');
  // Gemma's soft cap.
  b.floats('cap', [], Float32Array.of(30));
  b.add('Div', ['scores', 'cap'], 'capped');
  b.add('Tanh', ['capped'], 'squashed');
  b.add('Mul', ['squashed', 'cap'], 'logits');
  return encode(b.graph);
}

/** An embedding graph: a gather, with a cast of float16 rows. */
export function toyEmbed(type: 'float32' | 'float16'): Uint8Array<ArrayBuffer> {
  const b = new Builder();
  b.graph.inputs.push(makeValue('input_ids', INT64, ['batch', 'rows']));
  b.graph.outputs.push(makeValue('inputs_embeds', FLOAT, ['batch', 'rows', HIDDEN]));
  if (type === 'float32') {
    b.floats('table', [VOCAB, HIDDEN], pseudoRandom(VOCAB * HIDDEN, 99));
    b.add('Gather', ['table', 'input_ids'], 'inputs_embeds', { axis: 0 });
  } else {
    // All exponents, subnormals included; no infinities.
    const halves = Uint16Array.from(
      pseudoRandom(VOCAB * HIDDEN, 99),
      (x, at) => (at % 0x3c) * 0x100 + (x < 0 ? 0x8000 : 0) + (at % 251),
    );
    b.graph.tensors.set('table', makeTensor('table', FLOAT16, [VOCAB, HIDDEN], new Uint8Array(halves.buffer)));
    b.add('Gather', ['table', 'input_ids'], 'rows', { axis: 0 });
    b.add('Cast', ['rows'], 'inputs_embeds', { to: FLOAT });
  }
  return encode(b.graph);
}

function lengths(b: Builder, quirks: Quirks): { last: string; total: string; bias: string } {
  b.add('Shape', ['attention_mask'], 'mask.shape');
  const count = b.add('Gather', ['mask.shape', 'one'], 'mask.count', { axis: 0 });
  const total = b.add('Cast', [count], 'total', { to: INT32 });
  b.add('Sub', [count, quirks.offByOne ? 'zero' : 'one'], 'mask.last');
  b.add('Cast', ['mask.last'], 'mask.last32', { to: INT32 });
  const batch = b.add('Gather', ['mask.shape', 'axis0'], 'batch', { axis: 0 });
  const last = b.add('Expand', ['mask.last32', batch], 'last');

  b.add('Cast', ['attention_mask'], 'mask.float', { to: FLOAT });
  b.floats('f1', [], Float32Array.of(1));
  b.floats('min', [], Float32Array.of(-3.4e38));
  b.add('Sub', ['f1', 'mask.float'], 'mask.hidden');
  let bias = b.add('Mul', ['mask.hidden', 'min'], 'mask.bias');
  if (quirks.sink !== undefined) {
    b.floats('sink', [], Float32Array.of(quirks.sink));
    bias = b.add('Add', [bias, 'sink'], 'mask.sunk');
  }
  if (quirks.window !== undefined) {
    const distance = b.add('Sub', [count, b.add('CumSum', ['attention_mask', 'one'], 'mask.places')], 'mask.distance');
    const hidden = b.add('GreaterOrEqual', [distance, b.ints('window', [], quirks.window)], 'mask.outside');
    b.add('Cast', [hidden], 'mask.outside.float', { to: FLOAT });
    bias = b.add('Add', [bias, b.add('Mul', ['mask.outside.float', 'min'], 'mask.outside.bias')], 'mask.windowed');
  }
  b.add('Unsqueeze', [bias, b.ints('axes12', [2], 1, 2)], 'mask.bias4');
  b.add('Shape', ['inputs_embeds'], 'embeds.shape');
  b.add('Gather', ['embeds.shape', b.ints('index1', [1], 1)], 'rows', { axis: 0 });
  b.add('Unsqueeze', [count, 'axis0'], 'columns');
  b.add('Concat', [batch, b.ints('heads1', [1], 1), 'rows', 'columns'], 'bias.shape', { axis: 0 });
  return { last, total, bias: b.add('Expand', ['mask.bias4', 'bias.shape'], 'bias') };
}

function tables(b: Builder, positions: number): void {
  const half = HEAD / 2;
  const angles = Array.from({ length: positions * half }, (_, i) => Math.floor(i / half) / 100 ** ((i % half) / half));
  b.floats('cos', [positions, half], Float32Array.from(angles, Math.cos));
  b.floats('sin', [positions, half], Float32Array.from(angles, Math.sin));
  b.floats('sin2', [positions, half], Float32Array.from(angles, Math.sin));
}

function addLayer(b: Builder, quirks: Quirks, hidden: string, layer: number, lengthsAndBias: string[]): string {
  const [last = '', total = '', bias = ''] = lengthsAndBias;
  for (const part of ['key', 'value']) {
    b.graph.inputs.push(makeValue(`past_key_values.${layer}.${part}`, FLOAT, ['batch_size', 1, 'past', HEAD]));
    b.graph.outputs.push(makeValue(`present.${layer}.${part}`, FLOAT, ['batch', 1, 'total', HEAD]));
  }
  const project = (part: string, width: number): string =>
    b.add('MatMul', [hidden, b.weight(`${part}.w.${layer}`, HIDDEN, width)], `${part}.${layer}`);
  let q = project('q', HEADS * HEAD);
  let k = project('k', HEAD);
  const v = project('v', HEAD);
  if (quirks.rotary) {
    let positions = 'position_ids';
    if (quirks.rotary === 'computed') positions = b.add('Add', [positions, 'zero'], `positions.${layer}`);
    const sin = quirks.rotary === 'key-tables' ? 'sin2' : 'sin';
    q = b.add('com.microsoft.RotaryEmbedding', [q, positions, 'cos', 'sin'], `${q}.rotated`, { interleaved: 0 });
    k = b.add('com.microsoft.RotaryEmbedding', [k, positions, 'cos', sin], `${k}.rotated`, { interleaved: 0 });
  }
  const cache = [`past_key_values.${layer}.key`, `past_key_values.${layer}.value`];
  const own = quirks.rotary ? ['', ''] : ['cos', 'sin'];
  const attended = b.attention([q, k, v, ...cache, last, total, ...own, '', bias], layer, {
    num_heads: HEADS,
    kv_num_heads: 1,
    do_rotary: quirks.rotary ? 0 : 1,
  });
  b.add('MatMul', [attended, b.weight(`o.w.${layer}`, HEADS * HEAD, HIDDEN)], `o.${layer}`);
  return b.add('Add', [hidden, `o.${layer}`], `hidden.${layer}`);
}
