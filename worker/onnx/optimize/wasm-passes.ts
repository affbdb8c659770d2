export { dequantizeWeights } from './dequantize-weights.ts';
export { writeOutAttention } from './write-out-attention.ts';
