import {
  CAUSAL_MASK,
  INPUTS_EMBEDS,
  IS_PROMPT,
  KV_INDICES,
  LOGITS,
  OPTIMIZED_INPUTS,
  PAST,
  PAST_LENGTH,
  SEQLENS_K,
  TOTAL_LENGTH,
} from '../decoder-ports.ts';
import {
  BOOL,
  encodeBranch,
  FLOAT,
  type Graph,
  INT32,
  INT64,
  makeInts,
  makeTensor,
  makeValue,
  type Node,
} from '../model/graph.ts';
import { floatAttribute, intAttribute, makeNode, setFloat, setGraph, setInts, Wiring } from '../model/graph-edit.ts';
import { AT, ATTENTION } from './feed-lengths.ts';
import type { Skipped } from './pass.ts';

/** Indices of GroupQueryAttention's inputs that only this pass reads. */
const VALUE = 2;
const PAST_KEY = 3;
const PAST_VALUE = 4;

/** Names of the constants that all layers share. */
const SHAPE = {
  queries: 'attention/queries',
  rows: 'attention/rows',
  heads: 'attention/heads',
  scores: 'attention/scores',
  grouped: 'attention/grouped',
  ungrouped: 'attention/ungrouped',
  hidden: 'attention/hidden',
  start: 'attention/start',
  axis: 'attention/axis',
};

interface Heads {
  query: number;
  kv: number;
  /** Elements of a head. */
  size: number;
}

/**
 * Gives each attention two branches: several rows are computed by matrix products, one row by GroupQueryAttention as before.
 *
 * onnxruntime's GroupQueryAttention on the CPU computes a product for each head and row apart, which is 9 to 15 times slower
 * for 512 rows than the same written out with the rows of a group's query heads in one matrix (the
 * formula: softmax(Q K^T scale + mask) V, https://arxiv.org/abs/2305.13245). Both branches write keys and values into the cache that
 * they are given, so the graph is for decoders whose past and present are the same memory.
 */
export function writeOutAttention(graph: Graph): Skipped {
  const nodes = graph.nodes.filter(({ type }) => type === ATTENTION);
  const wiring = new Wiring(graph);
  const past = graph.inputs.find(({ name }) => name.startsWith(PAST));
  const [first] = nodes;
  const size = past?.dims.at(-1);
  if (!first || !past) return `there is no ${ATTENTION}`;
  if (past.type !== FLOAT || typeof size !== 'number') return 'keys and values are not float32 of a known size';
  const other = unsuitable(graph);
  if (other !== undefined) return other;
  if ((graph.opsets.get('') ?? 0) < 13) return 'the operator set is older than 13';
  const heads = { query: intAttribute(first, 'num_heads', 0), kv: intAttribute(first, 'kv_num_heads', 0), size };
  for (const node of nodes) {
    const reason = unlike(wiring, node, heads);
    if (reason !== undefined) return `${node.name}: ${reason}`;
  }
  addConstants(graph, heads);
  graph.inputs.push(
    makeValue(IS_PROMPT, BOOL, [1]),
    makeValue(CAUSAL_MASK, FLOAT, ['mask_rows', 'mask_positions']),
    makeValue(KV_INDICES, INT64, [heads.kv, 'new_rows', 3]),
    makeValue(PAST_LENGTH, INT64, [1]),
  );
  graph.nodes = graph.nodes.map((node) => (node.type === ATTENTION ? branches(node, heads) : node));
  graph.shapes = [];
  return undefined;
}

/** Why the in-place decoder, for which the branches are, cannot run the graph. */
function unsuitable({ inputs, outputs }: Graph): string | undefined {
  const further = inputs.find(({ name }) => !OPTIMIZED_INPUTS.includes(name) && !name.startsWith(PAST));
  if (further) return `it has the input ${further.name}`;
  if (inputs.find(({ name }) => name === INPUTS_EMBEDS)?.type !== FLOAT) return 'embeddings are not float32';
  const { type, dims: [, rows, vocab] = [] } = outputs.find(({ name }) => name === LOGITS) ?? {};
  return type === FLOAT && rows === 1 && typeof vocab === 'number' ? undefined : 'logits are not one row of float32';
}

/** Why a node cannot be written out. */
function unlike(wiring: Wiring, node: Node, { query, kv, size }: Heads): string | undefined {
  const { inputs } = node;
  if (inputs[AT.seqlensK] !== SEQLENS_K || inputs[AT.totalLength] !== TOTAL_LENGTH) return 'lengths are not inputs';
  if (!inputs[AT.key] || !inputs[VALUE]) return 'queries, keys and values are one tensor';
  if (intAttribute(node, 'do_rotary', 0) !== 1) return 'it does not rotate';
  if (inputs.slice(AT.sin + 1).some((name) => name !== '')) return 'it has further inputs';
  if (intAttribute(node, 'num_heads', 0) !== query || intAttribute(node, 'kv_num_heads', 0) !== kv || query % kv !== 0)
    return 'layers have different heads';
  const rotated = wiring.tensor(inputs[AT.cos])?.dims.at(-1);
  if (rotated === undefined || rotated * 2 !== size) return 'only part of a head is rotated';
  if (intAttribute(node, 'local_window_size', -1) > 0) return 'it has a window';
  if (floatAttribute(node, 'softcap', 0) !== 0 || intAttribute(node, 'smooth_softmax', 0) > 0)
    return 'its softmax is not a plain one';
  return undefined;
}

function addConstants(graph: Graph, { query, kv, size }: Heads): void {
  const group = query / kv;
  const shapes: Record<string, readonly number[]> = {
    [SHAPE.queries]: [-1, kv, group, size],
    [SHAPE.rows]: [-1, kv, size],
    [SHAPE.heads]: [kv, -1, size],
    [SHAPE.scores]: [query, -1, 0],
    [SHAPE.grouped]: [kv, -1, 0],
    [SHAPE.ungrouped]: [kv, group, -1, size],
    [SHAPE.hidden]: [1, -1, query * size],
  };
  for (const [name, values] of Object.entries(shapes)) {
    graph.tensors.set(name, makeInts(name, [values.length], values));
  }
  // Of the same type as the length that they are used with.
  for (const [name, value] of [
    [SHAPE.start, 0],
    [SHAPE.axis, 2],
  ] as const) {
    graph.tensors.set(name, makeTensor(name, INT32, [1], new Uint8Array(Int32Array.of(value).buffer)));
  }
}

function branches(node: Node, heads: Heads): Node {
  const outputs = node.outputs.map((name) => `${name}/rows`);
  const single = { ...node, outputs: node.outputs.map((name) => `${name}/row`) };
  const both = makeNode('If', [IS_PROMPT], [...node.outputs]);
  setGraph(both, 'then_branch', encodeBranch(`${node.name}/rows`, written(node, heads.size, outputs), outputs));
  setGraph(both, 'else_branch', encodeBranch(`${node.name}/row`, [single], single.outputs));
  return both;
}

/** The nodes of attention written out. */
function written(node: Node, size: number, [output = '', keys = '', values = '']: string[]): Node[] {
  const { inputs } = node;
  const at = (index: number): string => inputs[index] ?? '';
  const name = (part: string): string => `${output}/${part}`;
  const nodes: Node[] = [];
  const add = (type: string, from: string[], to: string, ints: Record<string, number> = {}): string => {
    nodes.push(makeNode(type, from, [to], ints));
    return to;
  };
  const transpose = (from: string, to: string, perm: readonly number[]): string => {
    const made = makeNode('Transpose', [from], [to]);
    setInts(made, 'perm', perm);
    nodes.push(made);
    return to;
  };
  const reshape = (from: string, shape: string, to: string): string => add('Reshape', [from, shape], to);
  const rotate = (from: string, to: string): string => {
    const interleaved = intAttribute(node, 'rotary_interleaved', 0);
    return add('com.microsoft.RotaryEmbedding', [from, PAST_LENGTH, at(AT.cos), at(AT.sin)], to, { interleaved });
  };
  /** [1, rows, kv * size] into the cache, and of that all positions so far: [kv, positions, size]. */
  const append = (from: string, past: string, cache: string): string => {
    const rows = transpose(reshape(from, SHAPE.rows, `${cache}/new`), `${cache}/by_head`, [1, 0, 2]);
    add('ScatterND', [past, KV_INDICES, rows], cache);
    add('Slice', [cache, SHAPE.start, TOTAL_LENGTH, SHAPE.axis], `${cache}/used`);
    return reshape(`${cache}/used`, SHAPE.heads, `${cache}/all`);
  };
  const queries = reshape(rotate(at(AT.query), name('rotated')), SHAPE.queries, name('queries'));
  const folded = reshape(transpose(queries, name('by_group'), [1, 2, 0, 3]), SHAPE.heads, name('folded'));
  const allKeys = append(rotate(at(AT.key), name('rotated_keys')), at(PAST_KEY), keys);
  const allValues = append(at(VALUE), at(PAST_VALUE), values);
  const product = makeNode('com.microsoft.FusedMatMul', [folded, allKeys], [name('products')], { transB: 1 });
  setFloat(product, 'alpha', floatAttribute(node, 'scale', 0) || 1 / Math.sqrt(size));
  nodes.push(product);
  const scores = reshape(name('products'), SHAPE.scores, name('scores'));
  const masked = add('Add', [scores, CAUSAL_MASK], name('masked'));
  const weights = reshape(add('Softmax', [masked], name('softmax'), { axis: -1 }), SHAPE.grouped, name('weights'));
  const mixed = reshape(add('MatMul', [weights, allValues], name('mixed')), SHAPE.ungrouped, name('ungrouped'));
  reshape(transpose(mixed, name('by_row'), [2, 0, 1, 3]), SHAPE.hidden, output);
  return nodes;
}
