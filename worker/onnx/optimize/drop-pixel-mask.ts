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

/** Numbers of crops to evaluate with: one and several. */
const CROP_COUNTS: readonly number[] = [1, 3];

/**
 * Replaces by constants what a vision encoder computes from inputs that are the same for every image, such as a mask that
 * is all set, and removes its search for empty crops: which crops are not padding, and the position of each patch.
 *
 * These subgraphs (NonZero, GatherND, sums of int64) have no kernels on the GPU: each run would copy the pixels to the
 * CPU. The pass recognises them by evaluating them with pseudo-random pixels, for one crop and for three: the input of
 * the patch convolution must equal the pixels, or a cast of them, and all other values that enter the encoder must be
 * the same constant for every crop.
 *
 * @param inputs examples; the optimized encoder declares their shapes and takes no others
 */
export async function dropPixelMask(graph: Graph, inputs: ExampleInputs, evaluate: Evaluate): Promise<PassOutcome> {
  const skip = (reason: string): PassOutcome => skipped('drop-pixel-mask', reason);
  if (!graph.inputs.some(({ name }) => inputs.constant.includes(name))) return skip('no input is constant');
  const pixels = pixelsOf(inputs);
  if (pixels === undefined) return skip('there is not exactly one input that differs between images');
  const wiring = new Wiring(graph);
  const [conv, ...others] = graph.nodes.filter(({ type }) => type === 'Conv');
  if (!conv || others.length > 0) return skip('there is not exactly one convolution');
  const [crops = ''] = (wiring.producer(conv.inputs[0], 'Cast') ?? conv).inputs;
  // Encoders in half precision round the pixels first.
  const casts = wiring.consumers(pixels).filter(({ type }) => type === 'Cast');
  const border = findBorder(graph, wiring, conv);
  const rounded = casts.flatMap(({ outputs }) => outputs);
  const evaluations = await evaluateCrops(graph, [crops, ...rounded, ...border], inputs, evaluate);
  if (typeof evaluations === 'string') return skip(evaluations);
  const cropsEqual = (data: (evaluation: Evaluation<Batch>) => TensorData['data'] | undefined): boolean =>
    evaluations.every((evaluation) => isSame(evaluation.values[crops]?.data, data(evaluation)));
  const cast = casts.find(({ outputs: [name = ''] }) => cropsEqual(({ values }) => values[name]?.data));
  if (!cast && !cropsEqual(({ input }) => input.inputs[pixels]?.data))
    return skip('crops are changed before the first convolution');
  const constants = new Map<string, TensorData>();
  for (const name of border) {
    const constant = constantOf(evaluations, name);
    if (constant && (isSameForAll(evaluations, name) || isBroadcast(wiring, name))) constants.set(name, constant);
    else if (dependsOnInput(graph, wiring, name, 'Shape')) return skip(`${name} is not one constant for every crop`);
    // Else it is a shape, such as the number of crops: onnxruntime computes it without the GPU.
  }
  for (const [name, constant] of constants) setConstant(graph, name, constant);
  replaceCrops(graph, crops, pixels, evaluations, cast);
  prune(graph);
  return done('drop-pixel-mask');
}

/** Values that enter the encoder beside the convolution: indices and masks, before they are combined with weights. */
function findBorder(graph: Graph, wiring: Wiring, conv: Node): string[] {
  const encoder = wiring.downstream(conv.outputs[0] ?? '');
  encoder.add(conv);
  const border = new Set<string>();
  const pending = [...encoder].flatMap((node) => (node === conv ? [] : node.inputs));
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    const producer = wiring.producer(name);
    if ((producer && encoder.has(producer)) || !dependsOnInput(graph, wiring, name)) continue;
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

/** Inputs for some crops of pseudo-random pixels. */
interface Batch {
  count: number;
  inputs: Readonly<Record<string, TensorData>>;
}

/** The name of the one input that differs between images. */
function pixelsOf({ example, constant }: ExampleInputs): string | undefined {
  const [name, ...others] = Object.keys(example(0, pseudoRandomInput)).filter((input) => !constant.includes(input));
  return others.length === 0 ? name : undefined;
}

/** Edge of a crop in pixels, the last dimension of the pixels; 0 if the input is not known. */
export function cropSize(inputs: ExampleInputs): number {
  return inputs.example(0, pseudoRandomInput)[pixelsOf(inputs) ?? '']?.dims.at(-1) ?? 0;
}

function evaluateCrops(
  graph: Graph,
  names: readonly string[],
  { example }: ExampleInputs,
  evaluate: Evaluate,
): Promise<Evaluation<Batch>[] | string> {
  const batches = CROP_COUNTS.map((count) => ({ count, inputs: example(count, pseudoRandomInput) }));
  const feed = ({ name, type }: Value, { inputs }: Batch): TensorData | undefined => {
    const tensor = inputs[name];
    return tensor && TYPES[tensor.type] === type ? tensor : undefined;
  };
  return evaluateSubgraph(graph, names, batches, feed, evaluate);
}

/** The value for one crop, if it is the same for every crop of every batch. */
function constantOf(evaluations: readonly Evaluation<Batch>[], name: string): TensorData | undefined {
  const single = evaluations[0]?.values[name];
  if (!single || TYPES[single.type] === undefined) return undefined;
  if (isSameForAll(evaluations, name)) return single;
  const repeated = evaluations.every(({ input: { count }, values }) => {
    const value = values[name];
    if (value?.dims[0] !== count || value.data.length !== single.data.length * count) return false;
    return isRepeated(value.data, single.data);
  });
  return repeated ? single : undefined;
}

/** True if a value does not depend on the number of crops. */
function isSameForAll(evaluations: readonly Evaluation<Batch>[], name: string): boolean {
  const single = evaluations[0]?.values[name];
  return evaluations.every(({ values }) => {
    const value = values[name];
    return value?.dims.join() === single?.dims.join() && isSame(value?.data, single?.data);
  });
}

/** True if [1, ..] can replace [crops, ..]: the value is added, or gathers rows that are added. */
function isBroadcast(wiring: Wiring, name: string): boolean {
  return wiring.consumers(name).every((node) => {
    if (node.type === 'Add' || node.type === 'Mul') return true;
    if (node.type !== 'Gather' || node.inputs[1] !== name || wiring.tensor(node.inputs[0]) === undefined) return false;
    return wiring.consumers(node.outputs[0]).every(({ type }) => type === 'Add');
  });
}

function isSame(data: TensorData['data'] | undefined, expected: TensorData['data'] | undefined): boolean {
  return data?.length === expected?.length && isRepeated(data, expected);
}

function isRepeated(data: TensorData['data'] | undefined, unit: TensorData['data'] | undefined): boolean {
  if (!data || !unit) return false;
  for (let i = 0; i < data.length; i++) if (data[i] !== unit[i % unit.length]) return false;
  return true;
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
  // A value must have one producer.
  graph.nodes = graph.nodes.filter(({ outputs }) => !outputs.includes(name));
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  graph.tensors.set(name, makeTensor(name, TYPES[type] ?? 0, dims, bytes));
}

/**
 * Makes all readers of `old` read the pixels instead, reshaped like it for any number of crops.
 *
 * @param cast the node that rounds the pixels, if there is one
 */
function replaceCrops(
  graph: Graph,
  old: string,
  pixels: string,
  evaluations: readonly Evaluation<Batch>[],
  cast?: Node,
): void {
  const target = `${pixels}/crops_shape`;
  const crops = `${pixels}/crops`;
  const dims = BigInt64Array.from([-1, ...(evaluations[0]?.values[old]?.dims.slice(1) ?? [])], BigInt);
  for (const node of graph.nodes) node.inputs = node.inputs.map((name) => (name === old ? crops : name));
  graph.tensors.set(target, makeTensor(target, INT64, [dims.length], new Uint8Array(dims.buffer)));
  const reshape = makeNode('Reshape', [cast?.outputs[0] ?? pixels, target], [crops]);
  graph.nodes = [...(cast ? [cast] : []), reshape, ...graph.nodes.filter((node) => node !== cast)];
  const [one, several] = evaluations.map(({ input: { inputs } }) => inputs[pixels]?.dims ?? []);
  const shape = (one ?? []).map((dim, axis) => (dim === several?.[axis] ? dim : 'num_images'));
  graph.inputs = graph.inputs.map((input) => (input.name === pixels ? makeValue(pixels, FLOAT, shape) : input));
}
