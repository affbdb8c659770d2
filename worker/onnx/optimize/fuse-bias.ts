import type { Graph } from '../model/graph.ts';
import { intAttribute, prune, Wiring } from '../model/graph-edit.ts';
import { partner, soleReader } from './match-nodes.ts';
import { done, type PassOutcome, skipped } from './pass.ts';

const PRODUCT = 'com.microsoft.MatMulNBits';

/** Inputs of MatMulNBits: activations, weights, scales, zero points, group index, bias. */
const BIAS = 5;

/**
 * Lets MatMulNBits add the bias that follows it: a dispatch, and a pass over the activations, less for each. The same
 * sum, before the result is written instead of after.
 */
export function fuseBias(graph: Graph): PassOutcome {
  const wiring = new Wiring(graph);
  let fused = 0;
  for (const product of graph.nodes.filter(({ type }) => type === PRODUCT)) {
    const [output = ''] = product.outputs;
    const sum = soleReader(wiring, output, 'Add');
    const bias = sum && partner(sum, output);
    const dims = wiring.tensor(bias)?.dims;
    if (!sum || bias === undefined || product.inputs.length > BIAS) continue;
    if (dims?.length !== 1 || dims[0] !== intAttribute(product, 'N', 0)) continue;
    // The sum takes over: everything that both read comes before it.
    while (product.inputs.length < BIAS) product.inputs.push('');
    sum.type = PRODUCT;
    sum.inputs = [...product.inputs, bias];
    sum.attributes = product.attributes;
    fused++;
  }
  if (fused === 0) return skipped('bias', 'no bias follows a MatMulNBits');
  prune(graph);
  return done('bias');
}
