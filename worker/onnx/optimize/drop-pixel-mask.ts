import {
  BOOL,
  FLOAT,
  FLOAT16,
  type Graph,
  INT32,
  INT64,
  makeTensor,
  makeValue,
  type Node,
  type Value,
} from '../model/graph.ts';
import { makeNode, prune, Wiring } from '../model/graph-edit.ts';
import { pseudoRandomInput } from './test-input.ts';
import type { Evaluate, ExampleInputs, TensorData } from './evaluate-model.ts';
import { done, type PassOutcome, skipped } from './pass.ts';
import { MAX_WEIGHT_BYTES, type Evaluation, evaluateSubgraph } from './evaluate-subgraph.ts';

/** Batches that values are computed for: one crop alone, and several. */
const BATCHES: readonly number[] = [1, 3];

/**
 * Settles, once for all images, what a vision encoder computes from inputs that are the same for every image, such as a
 * mask that is all set, and from looking for empty crops: which of the crops are real, and which position each patch has.
 *
 * Those subgraphs (NonZero, GatherND, sums of int64) have no kernels on the GPU: each run would bring the pixels back
 * to the CPU. They are recognised by computing them, for a crop of noise, and for three: the input of the
 * patch convolution must be the pixels themselves, or what a cast makes of them, and whatever else flows into the
 * encoder from before it must be the same constant for every crop.
 *
 * @param inputs in their shape; the encoder takes no other afterwards, and declares that
 */
export async function dropPixelMask(graph: Graph, inputs: ExampleInputs, evaluate: Evaluate): Promise<PassOutcome> {
  const refuse = (reason: string): PassOutcome => skipped('whole-views', reason);
  if (!graph.inputs.some(({ name }) => inputs.constant.includes(name))) return refuse('no input is constant');
  const pixels = pixelsOf(inputs);
  if (pixels === undefined) return refuse('there is not exactly one input that differs between images');
  const wiring = new Wiring(graph);
  const [conv, ...others] = graph.nodes.filter(({ type }) => type === 'Conv');
  if (!conv || others.length > 0) return refuse('there is not exactly one convolution');
  const [views = ''] = (wiring.producer(conv.inputs[0], 'Cast') ?? conv).inputs;
  // Encoders in half precision round the pixels first.
  const casts = wiring.consumers(pixels).filter(({ type }) => type === 'Cast');
  const border = findBorder(graph, wiring, conv);
  const rounded = casts.flatMap(({ outputs }) => outputs);
  const trials = await compute(graph, [views, ...rounded, ...border], inputs, evaluate);
  if (typeof trials === 'string') return refuse(trials);
  const are = (read: (trial: Evaluation<Batch>) => TensorData['data'] | undefined): boolean =>
    trials.every((trial) => isSame(trial.values[views]?.data, read(trial)));
  const cast = casts.find(({ outputs: [name = ''] }) => are(({ values }) => values[name]?.data));
  if (!cast && !are(({ input: given }) => given.inputs[pixels]?.data))
    return refuse('crops are changed before the first convolution');
  const constants = new Map<string, TensorData>();
  for (const name of border) {
    const constant = settle(trials, name);
    if (constant && (sameForAll(trials, name) || isBroadcast(wiring, name))) constants.set(name, constant);
    else if (dependsOnInput(graph, wiring, name, 'Shape')) return refuse(`${name} is not one constant for every crop`);
    // Else it is a shape, such as the number of crops: computed at no cost, from what is known without the GPU.
  }
  for (const [name, constant] of constants) setConstant(graph, name, constant);
  replaceViews(graph, views, pixels, trials, cast);
  prune(graph);
  return done('whole-views');
}

/** Values that flow past the convolution to what is behind it: indices and masks, before they meet weights. */
function findBorder(graph: Graph, wiring: Wiring, conv: Node): string[] {
  const behind = wiring.downstream(conv.outputs[0] ?? '');
  behind.add(conv);
  const border = new Set<string>();
  const pending = [...behind].flatMap((node) => (node === conv ? [] : node.inputs));
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    const producer = wiring.producer(name);
    if ((producer && behind.has(producer)) || !dependsOnInput(graph, wiring, name)) continue;
    if (producer && readsWeights(wiring, producer)) pending.push(...producer.inputs);
    else border.add(name);
  }
  return [...border];
}

function readsWeights(wiring: Wiring, { inputs }: Node): boolean {
  return inputs.some((name) => (wiring.tensor(name)?.data?.length ?? 0) > MAX_WEIGHT_BYTES);
}

function dependsOnInput(graph: Graph, wiring: Wiring, name: string, stop?: string): boolean {
  const read = new Set([name, ...[...wiring.upstream([name], stop)].flatMap(({ inputs }) => inputs)]);
  return graph.inputs.some((input) => read.has(input.name));
}

/** Crops of noise. */
interface Batch {
  count: number;
  inputs: Readonly<Record<string, TensorData>>;
}

/** The name of the one input that differs between images. */
function pixelsOf({ example, constant }: ExampleInputs): string | undefined {
  const [name, ...others] = Object.keys(example(0, pseudoRandomInput)).filter((each) => !constant.includes(each));
  return others.length === 0 ? name : undefined;
}

/** Edge of a crop in pixels, which is the last axis of the pixels; 0 where that cannot be told. */
export function cropSize(inputs: ExampleInputs): number {
  return inputs.example(0, pseudoRandomInput)[pixelsOf(inputs) ?? '']?.dims.at(-1) ?? 0;
}

function compute(
  graph: Graph,
  names: readonly string[],
  { example }: ExampleInputs,
  evaluate: Evaluate,
): Promise<Evaluation<Batch>[] | string> {
  const batches = BATCHES.map((count) => ({ count, inputs: example(count, pseudoRandomInput) }));
  const feed = ({ name, type }: Value, { inputs }: Batch): TensorData | undefined => {
    const sample = inputs[name];
    return sample && TYPES[sample.type] === type ? sample : undefined;
  };
  return evaluateSubgraph(graph, names, batches, feed, evaluate);
}

/** The value for one crop, if every crop of every batch has that. */
function settle(trials: readonly Evaluation<Batch>[], name: string): TensorData | undefined {
  const single = trials[0]?.values[name];
  if (!single || TYPES[single.type] === undefined) return undefined;
  if (sameForAll(trials, name)) return single;
  const repeated = trials.every(({ input: { count }, values }) => {
    const value = values[name];
    return value?.dims[0] === count && isSame(value.data, repeat(single.data, count));
  });
  return repeated ? single : undefined;
}

/** True if a value does not depend on how many crops there are. */
function sameForAll(trials: readonly Evaluation<Batch>[], name: string): boolean {
  const single = trials[0]?.values[name];
  return trials.every(({ values }) => {
    const value = values[name];
    return value?.dims.join() === single?.dims.join() && isSame(value?.data, single?.data);
  });
}

/** True if a value [1, ..] gives the same as [crops, ..]: it is added as it is, or picks rows that are added. */
function isBroadcast(wiring: Wiring, name: string): boolean {
  return wiring.consumers(name).every((node) => {
    if (node.type === 'Add' || node.type === 'Mul') return true;
    if (node.type !== 'Gather' || node.inputs[1] !== name || wiring.tensor(node.inputs[0]) === undefined) return false;
    return wiring.consumers(node.outputs[0]).every(({ type }) => type === 'Add');
  });
}

function isSame(data: TensorData['data'] | undefined, expected: ArrayLike<unknown> | undefined): boolean {
  if (!data || !expected || data.length !== expected.length) return false;
  for (let i = 0; i < data.length; i++) if (data[i] !== expected[i]) return false;
  return true;
}

function repeat(data: TensorData['data'], count: number): unknown[] {
  return Array.from({ length: data.length * count }, (_, i) => data[i % data.length]);
}

const TYPES: Readonly<Record<string, number>> = {
  float32: FLOAT,
  float16: FLOAT16,
  int32: INT32,
  int64: INT64,
  bool: BOOL,
};

function setConstant(graph: Graph, name: string, { type, dims, data }: TensorData): void {
  if (!ArrayBuffer.isView(data)) return;
  // The node that made it goes: a name has one maker.
  graph.nodes = graph.nodes.filter(({ outputs }) => !outputs.includes(name));
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  graph.tensors.set(name, makeTensor(name, TYPES[type] ?? 0, dims, bytes));
}

/**
 * Gives all who read `old`, which holds the same, the pixels, in its shape but for the number of crops.
 *
 * @param cast what rounds the pixels, if they are rounded there
 */
function replaceViews(
  graph: Graph,
  old: string,
  pixels: string,
  trials: readonly Evaluation<Batch>[],
  cast?: Node,
): void {
  const target = `${pixels}/crops_shape`;
  const crops = `${pixels}/crops`;
  const dims = BigInt64Array.from([-1, ...(trials[0]?.values[old]?.dims.slice(1) ?? [])], BigInt);
  for (const node of graph.nodes) node.inputs = node.inputs.map((name) => (name === old ? crops : name));
  graph.tensors.set(target, makeTensor(target, INT64, [dims.length], new Uint8Array(dims.buffer)));
  const reshape = makeNode('Reshape', [cast?.outputs[0] ?? pixels, target], [crops]);
  graph.nodes = [...(cast ? [cast] : []), reshape, ...graph.nodes.filter((node) => node !== cast)];
  const [one, several] = trials.map(({ input: { inputs } }) => inputs[pixels]?.dims ?? []);
  const shape = (one ?? []).map((dim, axis) => (dim === several?.[axis] ? dim : 'num_images'));
  graph.inputs = graph.inputs.map((input) => (input.name === pixels ? makeValue(pixels, FLOAT, shape) : input));
}
