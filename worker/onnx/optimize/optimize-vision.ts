import type { GraphFile } from '../model/external-data.ts';
import { decode } from '../model/graph.ts';
import { opaque } from '../model/graph-edit.ts';
import { fuseAttention } from './fuse-attention.ts';
import type { Evaluate, ExampleInputs } from './evaluate-model.ts';
import { fuseBias } from './fuse-bias.ts';
import { fuseGelu } from './fuse-gelu.ts';
import { fuseLayerNorm } from './fuse-layer-norm.ts';
import { extractVisionLayer } from './extract-layer.ts';
import { encodeOptimized, type OptimizedGraph, type PassOutcome } from './pass.ts';
import { cropSize, dropPixelMask } from './drop-pixel-mask.ts';

export interface VisionOptions {
  inputs: ExampleInputs;
  evaluate: Evaluate;
  /**
   * Fuses attention, which saves the most time on a GPU. Not under Mesa's software renderer, where onnxruntime's kernel
   * for 32 rows and more takes minutes to compile.
   */
  attention: boolean;
}

/**
 * Optimizes a vision encoder for the inputs that its model's processor makes, and fuses operators that the GPU has one
 * kernel for. onnxruntime fuses some of them itself on the CPU, but not on WebGPU.
 *
 * @throws NearsightError `load_failed` if the bytes are not an ONNX model
 */
export async function optimizeVision(model: GraphFile, options: VisionOptions): Promise<OptimizedGraph> {
  const { inputs, evaluate, attention } = options;
  const graph = decode(model);
  const reason = opaque(graph);
  if (reason !== undefined) return encodeOptimized(graph, [{ pass: 'drop-pixel-mask', reason }]);
  const outcomes: PassOutcome[] = [
    { pass: 'drop-pixel-mask', reason: await dropPixelMask(graph, inputs, evaluate) },
    { pass: 'fuse-layer-norm', reason: fuseLayerNorm(graph) },
    { pass: 'fuse-gelu', reason: fuseGelu(graph) },
  ];
  // Before biases, from which it reads the width of a projection.
  if (attention) outcomes.push({ pass: 'fuse-attention', reason: fuseAttention(graph) });
  outcomes.push({ pass: 'fuse-bias', reason: fuseBias(graph) });
  const layer = extractVisionLayer(graph, 'image_features', cropSize(inputs));
  return encodeOptimized(graph, outcomes, layer);
}
