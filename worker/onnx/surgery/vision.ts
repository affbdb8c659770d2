import { decode } from '../graph.ts';
import { hasControlFlow } from '../graph-edit.ts';
import { fuseAttention } from './attention.ts';
import type { Evaluate } from './evaluate.ts';
import { fuseGelu } from './gelu.ts';
import { close, type Operated, refused } from './operation.ts';
import { wholeViews } from './whole-views.ts';

export interface VisionOptions {
  /** Edge of the views that it will be given, in pixels. All of them are whole: their masks have no zeros. */
  size: number;
  evaluate: Evaluate;
}

/**
 * Fits a vision encoder to how it is run here, on views that are whole pictures of one size, and gives the GPU
 * attention and GELU as operators that it has kernels for. (LayerNormalization written out, and biases after
 * MatMulNBits, onnxruntime joins itself.)
 *
 * @throws NearsightError `load_failed` if the bytes are not an ONNX model
 */
export async function operateVision(model: Uint8Array, { size, evaluate }: VisionOptions): Promise<Operated> {
  const graph = decode(model);
  if (hasControlFlow(graph)) return close(graph, [refused('whole-views', 'the graph has branches or loops')]);
  return close(graph, [await wholeViews(graph, size, evaluate), fuseAttention(graph), fuseGelu(graph)]);
}
