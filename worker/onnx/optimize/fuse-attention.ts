import type { Graph, Node } from '../model/graph.ts';
import { intAttribute, intsAttribute, setFloat, setInt, type Wiring } from '../model/graph-edit.ts';
import { fuseAround, scaled, setOperator, soleReader } from './fuse.ts';
import { MATMUL_NBITS } from './quantized-matrix.ts';
import type { Skipped } from './pass.ts';

const ATTENTION = 'com.microsoft.MultiHeadAttention';

/**
 * Fuses attention without a mask, softmax(q kᵀ · scale) v over heads, into one operator.
 *
 * Unfused, SmolVLM's encoder keeps 12 heads of 1,024 × 1,024 scores for each crop in memory, 50 MB, and reads or writes
 * them four times; the operator works on blocks of them where the device can. The sums are the same, in another order.
 */
export function fuseAttention(graph: Graph): Skipped {
  return fuseAround(graph, 'Softmax', 'there is no attention without a mask to fuse', fuse);
}

function fuse(wiring: Wiring, softmax: Node): boolean {
  const axis = intAttribute(softmax, 'axis', -1);
  if (axis !== -1 && axis !== 3) return false;
  const scores = scaling(wiring, softmax.inputs[0]);
  const product = wiring.producer(scores.value, 'MatMul');
  const left = scaling(wiring, product?.inputs[0]);
  const right = scaling(wiring, product?.inputs[1]);
  const query = splitHeads(wiring, left.value, [0, 2, 1, 3]);
  const key = splitHeads(wiring, right.value, [0, 2, 3, 1]);

  const weights = withoutCasts(wiring, softmax.outputs[0]);
  const weighted = soleReader(wiring, weights, 'MatMul');
  const value = splitHeads(wiring, weighted?.inputs[1], [0, 2, 1, 3]);
  const transposed = soleReader(wiring, weighted?.outputs[0], 'Transpose');
  if (!query || !key || !value || weighted?.inputs[0] !== weights || !transposed || !samePerm(transposed, [0, 2, 1, 3]))
    return false;
  const result = soleReader(wiring, transposed.outputs[0], 'Reshape');
  if (!result || query.heads !== key.heads || query.heads !== value.heads) return false;
  if (query.size !== key.size || query.size !== value.size) return false;
  const [batch, , hidden, ...more] = shape(wiring, result.inputs[1], query.source) ?? [];
  if (more.length > 0 || batch !== 'batch') return false;
  if (hidden !== query.heads * query.size && hidden !== -1) return false;
  setOperator(result, ATTENTION, [query.source, key.source, value.source]);
  setInt(result, 'num_heads', query.heads);
  setFloat(result, 'scale', scores.by * left.by * right.by);
  return true;
}

/** Separates a value from the constant that it is multiplied by; 1 if there is none. */
function scaling(wiring: Wiring, name: string | undefined): { value: string | undefined; by: number } {
  const node = wiring.producer(name, 'Mul', 'Div');
  const found = scaled(wiring, node);
  if (!node || !found) return { value: name, by: 1 };
  if (node.type === 'Mul') return found;
  // A constant divided by a value is not a scaling.
  return found.value === node.inputs[0] ? { value: found.value, by: 1 / found.by } : { value: name, by: 1 };
}

interface Heads {
  /** [batch, rows, hidden], the projection's output. */
  source: string;
  heads: number;
  size: number;
}

/** Matches a reshape of [batch, rows, hidden] to heads, followed by a transpose with `perm`. */
function splitHeads(wiring: Wiring, name: string | undefined, perm: readonly number[]): Heads | undefined {
  const transpose = wiring.producer(name, 'Transpose');
  if (!transpose || !samePerm(transpose, perm)) return undefined;
  const reshape = wiring.producer(transpose.inputs[0], 'Reshape');
  const [source] = reshape?.inputs ?? [];
  if (!reshape || source === undefined) return undefined;
  const [batch, rows, heads, size, ...more] = shape(wiring, reshape.inputs[1], source) ?? [];
  const width = lastDim(wiring, source);
  if (batch !== 'batch' || more.length > 0 || typeof size !== 'number' || size <= 0) return undefined;
  if (width === undefined || width % size !== 0) return undefined;
  const count = width / size;
  // Either rows or heads may be -1: the other and the width determine it.
  return heads === count || (heads === -1 && rows === 'rows') ? { source, heads: count, size } : undefined;
}

/** An entry of a shape: `source`'s batch or rows, or a number. */
type Entry = number | 'batch' | 'rows' | undefined;

function shape(wiring: Wiring, name: string | undefined, source: string): Entry[] | undefined {
  const copied = (entry: number | undefined, at: number): Entry =>
    entry !== 0 ? entry : at === 0 ? 'batch' : at === 1 ? 'rows' : undefined;
  const constants = wiring.constants(name);
  if (constants) return constants.map(copied);
  const concat = wiring.producer(name, 'Concat');
  return concat?.inputs.map((piece, at) => {
    const constant = wiring.scalar(piece);
    return constant === undefined ? dimOf(wiring, piece, source) : copied(constant, at);
  });
}

/** An entry that the graph reads from the shape of a value with the same batch and rows as `source`. */
function dimOf(wiring: Wiring, name: string, source: string): Entry {
  const gather = wiring.producer(wiring.producer(name, 'Unsqueeze')?.inputs[0], 'Gather');
  const measured = wiring.producer(gather?.inputs[0], 'Shape');
  if (!gather || !measured || measured.attributes.size > 0) return undefined;
  if (!projections(wiring, source).has(measured.inputs[0] ?? '')) return undefined;
  return (['batch', 'rows'] as const)[wiring.scalar(gather.inputs[1]) ?? -1];
}

const PRODUCTS: readonly string[] = ['MatMul', MATMUL_NBITS];

/** A value, and the values that it is a linear projection of: all have the same batch and rows. */
function projections(wiring: Wiring, source: string): Set<string> {
  const found = new Set([source]);
  for (const value of found) {
    const [left = '', right = ''] = wiring.producer(value, 'Add', ...PRODUCTS)?.inputs ?? [];
    if (wiring.tensor(left)) found.add(right);
    else if (wiring.tensor(right)) found.add(left);
  }
  return found;
}

/** The width of a projection, from its bias or its matrix. */
function lastDim(wiring: Wiring, name: string): number | undefined {
  const node = wiring.producer(name, 'Add', ...PRODUCTS);
  if (!node) return undefined;
  if (node.type === MATMUL_NBITS) return intAttribute(node, 'N', 0) || undefined;
  const weights = node.inputs.map((input) => wiring.tensor(input)).find((tensor) => tensor !== undefined);
  return weights?.dims.at(-1);
}

function withoutCasts(wiring: Wiring, name: string | undefined): string | undefined {
  const cast = soleReader(wiring, name, 'Cast');
  return cast ? withoutCasts(wiring, cast.outputs[0]) : name;
}

function samePerm(transpose: Node, perm: readonly number[]): boolean {
  return intsAttribute(transpose, 'perm').join() === perm.join();
}
