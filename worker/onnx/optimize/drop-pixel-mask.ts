import { FLOAT, type Graph, makeInts, makeTensor, makeValue, type Node, TYPES, type Value } from '../model/graph.ts';
import { makeNode, prune, Wiring } from '../model/graph-edit.ts';
import { bytesOf } from '../tensor.ts';
import { pseudoRandomInput } from './test-input.ts';
import type { Evaluate, ExampleInputs, TensorData } from './evaluate-model.ts';
import type { Skipped } from './pass.ts';
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
export async function dropPixelMask(graph: Graph, inputs: ExampleInputs, evaluate: Evaluate): Promise<Skipped> {
  if (!graph.inputs.some(({ name }) => inputs.constant.includes(name))) return 'no input is constant';
  const pixels = pixelsOf(inputs);
  if (pixels === undefined) return 'there is not exactly one input that differs between images';
  const wiring = new Wiring(graph);
  const [conv, ...others] = graph.nodes.filter(({ type }) => type === 'Conv');
  if (!conv || others.length > 0) return 'there is not exactly one convolution';
  const [crops = ''] = (wiring.producer(conv.inputs[0], 'Cast') ?? conv).inputs;
  // Encoders in half precision round the pixels first.
  const rounded = wiring.consumers(pixels).flatMap(({ type, outputs }) => (type === 'Cast' ? outputs : []));
  const border = findBorder(graph, wiring, conv);
  const batches = CROP_COUNTS.map((count) => ({ count, inputs: inputs.example(count, pseudoRandomInput) }));
  const evaluations = await evaluateSubgraph(graph, [crops, ...rounded, ...border], batches, feed, evaluate);
  if (typeof evaluations === 'string') return evaluations;
  const source = [...rounded, pixels].find((name) =>
    evaluations.every(({ input, values }) => isSame(values[crops], values[name] ?? input.inputs[name])),
  );
  if (source === undefined) return 'crops are changed before the first convolution';
  const constants = new Map<string, TensorData>();
  for (const name of border) {
    const constant = constantOf(wiring, evaluations, name);
    if (constant) constants.set(name, constant);
    else if (dependsOnInput(graph, wiring, name, 'Shape')) return `${name} is not one constant for every crop`;
    // Else it is a shape, such as the number of crops: onnxruntime computes it without the GPU.
  }
  for (const [name, constant] of constants) {
    // A value must have one producer.
    graph.nodes = graph.nodes.filter(({ outputs }) => !outputs.includes(name));
    graph.tensors.set(name, makeTensor(name, TYPES[constant.type] ?? 0, constant.dims, bytesOf(constant)));
  }
  replaceCrops(graph, crops, pixels, source, evaluations);
  prune(graph);
  return undefined;
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
  return inputs.some((name) => (wiring.tensor(name)?.data?.byteLength ?? 0) > MAX_WEIGHT_BYTES);
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

function feed({ name, type }: Value, { inputs }: Batch): TensorData | undefined {
  const tensor = inputs[name];
  return tensor && TYPES[tensor.type] === type ? tensor : undefined;
}

/** The value for one crop, if it can replace the value of every batch: it is the same, or broadcast to the same. */
function constantOf(wiring: Wiring, evaluations: readonly Evaluation<Batch>[], name: string): TensorData | undefined {
  const single = evaluations[0]?.values[name];
  if (!single || TYPES[single.type] === undefined) return undefined;
  const batches = evaluations.map(({ input: { count }, values }) => ({ count, value: values[name] }));
  const size = single.data.length;
  const same = batches.every(({ value }) => value?.dims.join() === single.dims.join() && isSame(value, single));
  const repeated = batches.every(
    ({ count, value }) => value?.dims[0] === count && value.data.length === size * count && isRepeated(value, single),
  );
  return same || (repeated && isBroadcast(wiring, name)) ? single : undefined;
}

/** True if [1, ..] can replace [crops, ..]: the value is added, or gathers rows that are added. */
function isBroadcast(wiring: Wiring, name: string): boolean {
  return wiring.consumers(name).every((node) => {
    if (node.type === 'Add' || node.type === 'Mul') return true;
    if (node.type !== 'Gather' || node.inputs[1] !== name || wiring.tensor(node.inputs[0]) === undefined) return false;
    return wiring.consumers(node.outputs[0]).every(({ type }) => type === 'Add');
  });
}

function isSame(value: TensorData | undefined, expected: TensorData | undefined): boolean {
  return value?.data.length === expected?.data.length && isRepeated(value, expected);
}

function isRepeated(value: TensorData | undefined, unit: TensorData | undefined): boolean {
  if (!value || !unit) return false;
  for (let i = 0; i < value.data.length; i++) if (value.data[i] !== unit.data[i % unit.data.length]) return false;
  return true;
}

/**
 * Makes all readers of `old` read the pixels instead, reshaped like it for any number of crops.
 *
 * @param source the pixels, or what a node makes of them that rounds them
 */
function replaceCrops(
  graph: Graph,
  old: string,
  pixels: string,
  source: string,
  evaluations: readonly Evaluation<Batch>[],
): void {
  const target = `${pixels}/crops_shape`;
  const crops = `${pixels}/crops`;
  const dims = [-1, ...(evaluations[0]?.values[old]?.dims.slice(1) ?? [])];
  for (const node of graph.nodes) node.inputs = node.inputs.map((name) => (name === old ? crops : name));
  graph.tensors.set(target, makeInts(target, [dims.length], dims));
  const reshape = makeNode('Reshape', [source, target], [crops]);
  const casts = graph.nodes.filter(({ outputs }) => outputs.includes(source));
  graph.nodes = [...casts, reshape, ...graph.nodes.filter((node) => !casts.includes(node))];
  const [one, several] = evaluations.map(({ input: { inputs } }) => inputs[pixels]?.dims ?? []);
  const shape = (one ?? []).map((dim, axis) => (dim === several?.[axis] ? dim : 'num_images'));
  graph.inputs = graph.inputs.map((input) => (input.name === pixels ? makeValue(pixels, FLOAT, shape) : input));
}
