import type { Graph } from '../model/graph.ts';
import { intAttribute } from '../model/graph-edit.ts';
import { fuseAround, partner, soleReader } from './fuse.ts';
import { MATMUL_NBITS } from './quantized-matrix.ts';
import type { Skipped } from './pass.ts';

/** Inputs of MatMulNBits: activations, weights, scales, zero points, group index, bias. */
const BIAS = 5;

/**
 * Fuses the bias that follows a MatMulNBits into it, which saves a dispatch and a pass over the activations. The sum is
 * the same.
 */
export function fuseBias(graph: Graph): Skipped {
  return fuseAround(graph, MATMUL_NBITS, 'no bias follows a MatMulNBits', (wiring, product) => {
    const [output = ''] = product.outputs;
    const sum = soleReader(wiring, output, 'Add');
    const bias = sum && partner(sum, output);
    const dims = wiring.tensor(bias)?.dims;
    if (!sum || bias === undefined || product.inputs.length > BIAS) return false;
    if (dims?.length !== 1 || dims[0] !== intAttribute(product, 'N', 0)) return false;
    // The later node becomes the product: all inputs of both are computed before it.
    while (product.inputs.length < BIAS) product.inputs.push('');
    sum.type = MATMUL_NBITS;
    sum.inputs = [...product.inputs, bias];
    sum.attributes = product.attributes;
    return true;
  });
}
