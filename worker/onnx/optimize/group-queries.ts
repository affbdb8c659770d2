import { SEQLENS_K, TOTAL_LENGTH } from '../decoder-ports.ts';
import { FLOAT, FLOAT16, type Graph, INT32, makeValue, type Node, type Value } from '../model/graph.ts';
import {
  floatAttribute,
  intAttribute,
  intsAttribute,
  makeNode,
  opaque,
  prune,
  setFloat,
  Wiring,
} from '../model/graph-edit.ts';
import { halfToNumber } from '../tensor.ts';
import { biasSteps, feedStep, type Step } from './evaluate-lengths.ts';
import type { Evaluate, TensorData } from './evaluate-model.ts';
import { type Evaluation, evaluateSubgraph } from './evaluate-subgraph.ts';
import { ATTENTION, MULTI_HEAD } from './feed-lengths.ts';
import type { Skipped } from './pass.ts';

/** Indices of MultiHeadAttention's inputs. */
const AT = { query: 0, key: 1, value: 2, bias: 5 } as const;

/** What is added to a score at least, so that its weight is zero. */
const MASKED = -1e4;

/** Runs that tell how keys and values are appended and repeated: a prompt, a later chunk, one token. */
const CACHE_STEPS: readonly Step[] = [
  { past: 0, rows: 3 },
  { past: 2, rows: 2 },
  { past: 3, rows: 1 },
];

/** The keys of a layer, or its values. */
interface Cache {
  past: Value;
  present: string;
  /** Appends the new ones to those of the past. */
  concat: Node;
  /** The new ones, [1, rows, heads * size]. */
  fresh: string;
  /** All of them, repeated for each head of the queries: [1, positions, query heads * size]. */
  repeated: string;
  heads: number;
  size: number;
}

interface Layer {
  node: Node;
  heads: number;
  key: Cache;
  value: Cache;
}

/**
 * Replaces MultiHeadAttention over repeated keys and values by GroupQueryAttention, which repeats nothing, appends to the
 * cache itself and is causal by itself.
 *
 * In exports that have it, the mask of a run is made for new rows alone, so that they cannot read several after a past at all.
 * This is exact for one sequence without padding. The pass checks at several steps that present is past and the new rows, that
 * each head of keys and values is repeated for the heads of its group, and that the bias is a causal mask.
 *
 * Lengths become inputs, as `feed-lengths` makes them.
 *
 * @param positions the largest number that a sequence will have
 */
export async function groupQueries(graph: Graph, positions: number, evaluate: Evaluate): Promise<Skipped> {
  const nodes = graph.nodes.filter(({ type }) => type === MULTI_HEAD);
  if (nodes.length === 0) return `there is no ${MULTI_HEAD}`;
  if (graph.nodes.some(({ type }) => type === ATTENTION)) return 'layers have different attention';
  const wiring = new Wiring(graph);
  const layers: Layer[] = [];
  for (const node of nodes) {
    const layer = findLayer(graph, wiring, node);
    if (typeof layer === 'string') return `${node.name}: ${layer}`;
    layers.push(layer);
  }
  const biases = new Set(nodes.map(({ inputs }) => inputs[AT.bias] ?? ''));
  const reason =
    (await checkBiases(graph, [...biases], positions, evaluate)) ?? (await checkCaches(graph, layers, evaluate));
  return reason ?? rewrite(graph, layers);
}

function findLayer(graph: Graph, wiring: Wiring, node: Node): Layer | string {
  const { inputs, outputs } = node;
  if (inputs.some((name, at) => name !== '' && !Object.values<number>(AT).includes(at))) return 'it has further inputs';
  if (outputs.slice(1).some((name) => name !== '')) return 'it has further outputs';
  // Without one, each row reads all positions.
  if (!inputs[AT.bias]) return 'it has no bias';
  const heads = intAttribute(node, 'num_heads', 0);
  const key = findCache(graph, wiring, inputs[AT.key] ?? '');
  const value = findCache(graph, wiring, inputs[AT.value] ?? '');
  if (typeof key === 'string') return `keys: ${key}`;
  if (typeof value === 'string') return `values: ${value}`;
  if (key.heads !== value.heads || key.size !== value.size) return 'keys and values have different heads';
  if (heads === 0 || heads % key.heads !== 0) return `${heads} heads are not groups for ${key.heads}`;
  return { node, heads, key, value };
}

/** What a value is repeated from: an output of the graph to which the new rows were appended. */
function findCache(graph: Graph, wiring: Wiring, repeated: string): Cache | string {
  let concat = wiring.producer(repeated);
  while (concat && concat.type !== 'Concat') concat = wiring.producer(concat.inputs[0]);
  const past = graph.inputs.find(({ name }) => name === concat?.inputs[0]);
  const present = graph.outputs.find(({ name }) => name === concat?.outputs[0]);
  if (!concat || !past || !present) return 'they do not come from a cache';
  const transposed = wiring.producer(concat.inputs[1], 'Transpose');
  const [fresh] = wiring.producer(transposed?.inputs[0], 'Reshape')?.inputs ?? [];
  if (!transposed || fresh === undefined) return 'new ones are not split into heads';
  if (intsAttribute(transposed, 'perm').join() !== '0,2,1,3') return 'new ones are transposed';
  const [, heads, , size] = past.dims;
  if (typeof heads !== 'number' || typeof size !== 'number') return 'their shape is not known';
  return { past, present: present.name, concat, fresh, repeated, heads, size };
}

async function checkBiases(
  graph: Graph,
  names: readonly string[],
  positions: number,
  evaluate: Evaluate,
): Promise<Skipped> {
  const steps = biasSteps(positions);
  const all = await evaluateSubgraph(graph, names, steps, feedStep, evaluate);
  // Most cannot be computed for several rows after a past, so that there is nothing to differ from.
  const simple = steps.filter(({ past, rows }) => past === 0 || rows === 1);
  const some = typeof all === 'string' ? await evaluateSubgraph(graph, names, simple, feedStep, evaluate) : all;
  if (typeof some === 'string') return some;
  const causal = names.every((name) => some.every((evaluation) => isCausal(evaluation, name)));
  return causal ? undefined : `${names.join(', ')} is not a causal mask`;
}

/** True if a bias [.., rows, positions] is zero at each row's position and before it, and hides what is after it. */
function isCausal({ input: { past, rows }, values }: Evaluation<Step>, name: string): boolean {
  const bias = values[name];
  const width = past + rows;
  if (!bias || bias.data.length === 0 || bias.dims.at(-1) !== width || bias.dims.at(-2) !== rows) return false;
  return Array.from({ length: bias.data.length }, (_, at) => at).every((at) => {
    const row = Math.floor(at / width) % rows;
    const number = numberAt(bias, at);
    return at % width <= past + row ? number === 0 : number <= MASKED;
  });
}

async function checkCaches(graph: Graph, layers: readonly Layer[], evaluate: Evaluate): Promise<Skipped> {
  const caches = layers.flatMap(({ heads, key, value }) =>
    [key, value].map((cache) => ({ ...cache, group: heads / cache.heads })),
  );
  const fresh = new Map(caches.map((cache) => [cache.fresh, cache]));
  const part: Graph = {
    ...graph,
    nodes: graph.nodes.filter(({ outputs }) => !outputs.some((name) => fresh.has(name))),
    inputs: [
      ...graph.inputs,
      ...[...fresh].map(([name, { past, heads, size }]) => makeValue(name, past.type, [1, 'rows', heads * size])),
    ],
  };
  const feed = (value: Value, step: Step): TensorData | undefined => {
    const cache = fresh.get(value.name);
    if (cache) return filled(value, [1, step.rows, cache.heads * cache.size]);
    const zeros = feedStep(value, step);
    return zeros && filled(value, zeros.dims);
  };
  const names = caches.flatMap(({ present, repeated }) => [present, repeated]);
  const evaluations = await evaluateSubgraph(part, names, CACHE_STEPS, feed, evaluate);
  if (typeof evaluations === 'string') return evaluations;
  const wrong = caches.find((cache) => !evaluations.every((evaluation) => isRepeated(evaluation, cache)));
  return wrong && `${wrong.repeated} is not past and new rows, each head repeated`;
}

/** True if present is past and the new rows, and each of its heads is repeated for a group of heads. */
function isRepeated({ input, values }: Evaluation<Step>, cache: Cache & { group: number }): boolean {
  const { heads, size, group } = cache;
  const total = input.past + input.rows;
  const present = values[cache.present];
  const repeated = values[cache.repeated];
  if (present?.dims.join() !== [1, heads, total, size].join()) return false;
  if (repeated?.dims.join() !== [1, total, heads * group * size].join()) return false;
  for (let position = 0; position < total; position++) {
    for (let at = 0; at < heads * group * size; at++) {
      const head = Math.floor(at / size / group);
      const element = at % size;
      const row = position - input.past;
      const expected =
        row < 0
          ? exampleAt(cache.past.name, (head * input.past + position) * size + element)
          : exampleAt(cache.fresh, (row * heads + head) * size + element);
      if (numberAt(repeated, position * heads * group * size + at) !== expected) return false;
      if (numberAt(present, (head * total + position) * size + element) !== expected) return false;
    }
  }
  return true;
}

/** A number that both float types hold, different from others most likely. */
function exampleAt(name: string, at: number): number {
  return 1 + levelAt(name, at) / 1024;
}

/** From 0 to 1023. */
function levelAt(name: string, at: number): number {
  let hash = at;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  return (hash ^ (hash >>> 15)) & 1023;
}

function filled({ name, type }: Value, dims: readonly number[]): TensorData | undefined {
  const length = dims.reduce((product, dim) => product * dim, 1);
  if (type === FLOAT) {
    return { type: 'float32', dims, data: Float32Array.from({ length }, (_, at) => exampleAt(name, at)) };
  }
  // The bits of a half from 1 to 2 are its fraction.
  const halves = Uint16Array.from({ length }, (_, at) => 0x3c00 + levelAt(name, at));
  return type === FLOAT16 ? { type: 'float16', dims, data: halves } : undefined;
}

function numberAt({ data }: TensorData, at: number): number {
  return data instanceof Uint16Array ? halfToNumber(data[at] ?? NaN) : Number(data[at]);
}

function rewrite(graph: Graph, layers: readonly Layer[]): Skipped {
  const replaced = new Map(layers.map((layer) => [layer.node, grouped(layer)]));
  const dropped = new Set(layers.flatMap(({ key, value }) => [key.concat, value.concat]));
  const rewritten: Graph = {
    ...graph,
    nodes: graph.nodes.filter((node) => !dropped.has(node)).map((node) => replaced.get(node) ?? node),
    inputs: [...graph.inputs, makeValue(SEQLENS_K, INT32, [1]), makeValue(TOTAL_LENGTH, INT32, [1])],
  };
  prune(rewritten);
  // What else reads the keys or values would wait for what waits for it.
  const reason = opaque(rewritten);
  if (reason === undefined) Object.assign(graph, rewritten);
  return reason;
}

function grouped({ node, heads, key, value }: Layer): Node {
  const inputs = [node.inputs[AT.query] ?? '', key.fresh, value.fresh, key.past.name, value.past.name];
  const outputs = [node.outputs[0] ?? '', key.present, value.present];
  const made = makeNode(ATTENTION, [...inputs, SEQLENS_K, TOTAL_LENGTH], outputs, {
    num_heads: heads,
    kv_num_heads: key.heads,
  });
  setFloat(made, 'scale', floatAttribute(node, 'scale', 0) || 1 / Math.sqrt(key.size));
  return { ...made, name: node.name };
}
