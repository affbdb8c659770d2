import type { GraphFile } from '../model/external-data.ts';
import { decode } from '../model/graph.ts';
import { opaque } from '../model/graph-edit.ts';
import type { Evaluate } from './evaluate-model.ts';
import { keepLastRow } from './keep-last-row.ts';
import { feedLengths } from './feed-lengths.ts';
import { extractLayer } from './extract-layer.ts';
import { close, type OptimizedGraph, type PassOutcome, skipped } from './pass.ts';
import { foldRotary, trimTables } from './fold-rotary.ts';
import { type MemoryBudget, dequantizeWeights } from './dequantize-weights.ts';

export interface DecoderOptions {
  /** Most positions that a sequence will have. */
  positions: number;
  evaluate: Evaluate;
  /** On wasm, room for widened weights; absent: they stay as they are. */
  memoryBudget?: MemoryBudget | undefined;
}

/**
 * Fits a decoder to how it is run here: one sequence, no padding, one token at a time.
 *
 * Handles what the two generations of exporters write (early 2025: rotations of their own, lengths summed from the
 * mask, logits of all rows; late 2025: rotation inside attention, a bias, `num_logits_to_keep`), by what nodes do, not
 * by what they are called. Each rewrite is made where it is exact and refused, with the reason, where that cannot be
 * told; a graph of another kind comes back as it was.
 *
 * @throws NearsightError `load_failed` if the bytes are not an ONNX model
 */
export async function optimizeDecoder(model: Uint8Array | GraphFile, options: DecoderOptions): Promise<OptimizedGraph> {
  const { positions, evaluate, memoryBudget: room } = options;
  const graph = decode(model);
  const reason = opaque(graph);
  if (reason !== undefined) return close(graph, [skipped('lengths', reason)]);
  const outcomes: PassOutcome[] = [await feedLengths(graph, evaluate)];
  outcomes.push(foldRotary(graph), keepLastRow(graph), trimTables(graph, positions));
  if (room) outcomes.push(dequantizeWeights(graph, room));
  const operated = close(graph, outcomes);
  // Weights that were widened are made while the graph is opened, for that one alone.
  return room ? operated : { ...operated, layer: extractLayer(graph, 'logits') };
}
