import type { Graph, Node } from '../model/graph.ts';
import { intAttribute, intsAttribute, setFloat, setInt, type Wiring } from '../model/graph-edit.ts';
import { fuseAround, isSquare, partner, scaled, setOperator, soleReader } from './fuse.ts';
import type { Skipped } from './pass.ts';

/**
 * Fuses layer normalisation over the last axis, (x - mean) / √(variance + ε) · weight + bias, into one operator: one
 * dispatch instead of two means, which WebGPU computes between transposes, and seven passes over the activations.
 * Formula: https://arxiv.org/abs/1607.06450.
 */
export function fuseLayerNorm(graph: Graph): Skipped {
  return fuseAround(graph, 'Sqrt', 'there is no layer normalisation to fuse', fuse);
}

function fuse(wiring: Wiring, root: Node): boolean {
  const stabilised = scaled(wiring, wiring.producer(root.inputs[0], 'Add'));
  const division = soleReader(wiring, root.outputs[0], 'Div');
  const [centred = ''] = division?.inputs ?? [];
  if (!stabilised || !division || division.inputs[1] !== root.outputs[0]) return false;
  const square = meanOf(wiring, stabilised.value);
  const [x = '', mean] = wiring.producer(centred, 'Sub')?.inputs ?? [];
  if (square === undefined || !isSquare(wiring, square, centred) || meanOf(wiring, mean) !== x) return false;
  const product = soleReader(wiring, division.outputs[0], 'Mul');
  const weight = product && vector(wiring, product, division.outputs[0]);
  const result = soleReader(wiring, product?.outputs[0], 'Add');
  const bias = result && vector(wiring, result, product?.outputs[0]);
  if (!result || weight === undefined || bias === undefined) return false;
  setOperator(result, 'LayerNormalization', [x, weight, bias]);
  setInt(result, 'axis', -1);
  setFloat(result, 'epsilon', stabilised.by);
  return true;
}

/** The value that this one is the mean of, over the last axis. */
function meanOf(wiring: Wiring, name: string | undefined): string | undefined {
  const mean = wiring.producer(name, 'ReduceMean');
  if (!mean || intAttribute(mean, 'keepdims', 1) !== 1) return undefined;
  // An attribute until opset 17, an input since.
  const axes = mean.inputs[1] === undefined ? intsAttribute(mean, 'axes') : wiring.constants(mean.inputs[1]);
  return axes?.join() === '-1' ? mean.inputs[0] : undefined;
}

/** The other operand, if it is a vector along the last axis. */
function vector(wiring: Wiring, node: Node, name: string | undefined): string | undefined {
  const other = partner(node, name ?? '');
  return wiring.tensor(other)?.dims.length === 1 ? other : undefined;
}
