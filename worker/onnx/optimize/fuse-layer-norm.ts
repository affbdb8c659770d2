import type { Graph, Node } from '../model/graph.ts';
import { intAttribute, intsAttribute, prune, setFloat, setInt, Wiring } from '../model/graph-edit.ts';
import { partner, scaled, soleReader } from './match-nodes.ts';
import { done, type PassOutcome, skipped } from './pass.ts';

/**
 * Makes one operator of layer normalisation over the last axis, (x - mean) / √(variance + ε) · weight + bias, written
 * out: two means, which WebGPU computes between transpositions, and seven passes over the activations become one
 * dispatch. The same formula: https://arxiv.org/abs/1607.06450.
 */
export function fuseLayerNorm(graph: Graph): PassOutcome {
  const wiring = new Wiring(graph);
  let fused = 0;
  for (const root of graph.nodes.filter(({ type }) => type === 'Sqrt')) {
    const parts = takeApart(wiring, root);
    if (!parts) continue;
    const { result, x, weight, bias, epsilon } = parts;
    result.type = 'LayerNormalization';
    result.inputs = [x, weight, bias];
    result.attributes.clear();
    setInt(result, 'axis', -1);
    setFloat(result, 'epsilon', epsilon);
    fused++;
  }
  if (fused === 0) return skipped('layer-norm', 'no layer normalisation is written out');
  prune(graph);
  return done('layer-norm');
}

interface Parts {
  result: Node;
  x: string;
  weight: string;
  bias: string;
  epsilon: number;
}

function takeApart(wiring: Wiring, root: Node): Parts | undefined {
  const stabilised = scaled(wiring, wiring.producer(root.inputs[0], 'Add'));
  const division = soleReader(wiring, root.outputs[0], 'Div');
  const [centred = ''] = division?.inputs ?? [];
  if (!stabilised || !division || division.inputs[1] !== root.outputs[0]) return undefined;
  const square = meanOf(wiring, stabilised.value);
  const [x = '', mean] = wiring.producer(centred, 'Sub')?.inputs ?? [];
  if (square === undefined || !isSquare(wiring, square, centred) || meanOf(wiring, mean) !== x) return undefined;
  const product = soleReader(wiring, division.outputs[0], 'Mul');
  const weight = product && vector(wiring, product, division.outputs[0]);
  const result = soleReader(wiring, product?.outputs[0], 'Add');
  const bias = result && vector(wiring, result, product?.outputs[0]);
  if (!result || weight === undefined || bias === undefined) return undefined;
  return { result, x, weight, bias, epsilon: stabilised.by };
}

/** What a value is the mean of, over the last axis. */
function meanOf(wiring: Wiring, name: string | undefined): string | undefined {
  const mean = wiring.producer(name, 'ReduceMean');
  if (!mean || intAttribute(mean, 'keepdims', 1) !== 1) return undefined;
  // Until opset 17 an attribute, then an input.
  const axes = mean.inputs[1] === undefined ? intsAttribute(mean, 'axes') : wiring.constants(mean.inputs[1]);
  return axes?.join() === '-1' ? mean.inputs[0] : undefined;
}

function isSquare(wiring: Wiring, name: string, of: string): boolean {
  const square = wiring.producer(name, 'Pow', 'Mul');
  if (!square || square.inputs[0] !== of) return false;
  return square.type === 'Pow' ? wiring.scalar(square.inputs[1]) === 2 : square.inputs[1] === of;
}

/** The other operand, if it is a weight for each element of the last axis. */
function vector(wiring: Wiring, node: Node, name: string | undefined): string | undefined {
  const other = partner(node, name ?? '');
  return wiring.tensor(other)?.dims.length === 1 ? other : undefined;
}
