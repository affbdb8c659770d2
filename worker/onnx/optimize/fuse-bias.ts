import type { Graph } from '../model/graph.ts';
import { intAttribute } from '../model/graph-edit.ts';
import { fuseAround } from './fuse.ts';
import { partner, soleReader } from './match-nodes.ts';
import type { PassOutcome } from './pass.ts';

const PRODUCT = 'com.microsoft.MatMulNBits';

/** Inputs of MatMulNBits: activations, weights, scales, zero points, group index, bias. */
const BIAS = 5;

/**
 * Fuses the bias that follows a MatMulNBits into it, which saves a dispatch and a pass over the activations. The sum is
 * the same.
 */
export function fuseBias(graph: Graph): PassOutcome {
  return fuseAround(graph, 'fuse-bias', PRODUCT, 'no bias follows a MatMulNBits', (wiring, product) => {
    const [output = ''] = product.outputs;
    const sum = soleReader(wiring, output, 'Add');
    const bias = sum && partner(sum, output);
    const dims = wiring.tensor(bias)?.dims;
    if (!sum || bias === undefined || product.inputs.length > BIAS) return false;
    if (dims?.length !== 1 || dims[0] !== intAttribute(product, 'N', 0)) return false;
    // The later node becomes the product: all inputs of both are computed before it.
    while (product.inputs.length < BIAS) product.inputs.push('');
    sum.type = PRODUCT;
    sum.inputs = [...product.inputs, bias];
    sum.attributes = product.attributes;
    return true;
  });
}
