import type { GraphFile } from '../model/external-data.ts';
import { decode } from '../model/graph.ts';
import { opaque } from '../model/graph-edit.ts';
import { fuseAttention } from './fuse-attention.ts';
import type { Evaluate, ExampleInputs } from './evaluate-model.ts';
import { fuseBias } from './fuse-bias.ts';
import { fuseGelu } from './fuse-gelu.ts';
import { fuseLayerNorm } from './fuse-layer-norm.ts';
import { extractVisionLayer } from './extract-layer.ts';
import { close, type OptimizedGraph, skipped } from './pass.ts';
import { cropSize, dropPixelMask } from './drop-pixel-mask.ts';

export interface VisionOptions {
  inputs: ExampleInputs;
  evaluate: Evaluate;
  /**
   * Makes attention one operator, which saves most on a GPU. Leave it out under Mesa's software renderer, where
   * onnxruntime's kernel for 32 rows and more takes minutes to compile.
   */
  attention: boolean;
}

/**
 * Fits a vision encoder to how it is run here, on what its model's processor gives it, and gives the device
 * operators that it has kernels for, instead of the steps that they are made of. onnxruntime joins some of these by
 * itself on the CPU, but not on WebGPU.
 *
 * @throws NearsightError `load_failed` if the bytes are not an ONNX model
 */
export async function optimizeVision(model: Uint8Array | GraphFile, options: VisionOptions): Promise<OptimizedGraph> {
  const { inputs, evaluate, attention } = options;
  const graph = decode(model);
  const reason = opaque(graph);
  if (reason !== undefined) return close(graph, [skipped('whole-views', reason)]);
  const outcomes = [await dropPixelMask(graph, inputs, evaluate), fuseLayerNorm(graph), fuseGelu(graph)];
  // After attention, which tells the width of a projection by its bias.
  if (attention) outcomes.push(fuseAttention(graph));
  outcomes.push(fuseBias(graph));
  return { ...close(graph, outcomes), layer: extractVisionLayer(graph, 'image_features', cropSize(inputs)) };
}
