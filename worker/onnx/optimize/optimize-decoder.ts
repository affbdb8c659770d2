import { LOGITS } from '../decoder-ports.ts';
import type { GraphFile } from '../model/external-data.ts';
import { decode } from '../model/graph.ts';
import { opaque } from '../model/graph-edit.ts';
import type { Evaluate } from './evaluate-model.ts';
import { keepLastRow } from './keep-last-row.ts';
import { ATTENTION, feedLengths, MULTI_HEAD } from './feed-lengths.ts';
import { loadGroupQueries } from './load-group-queries.ts';
import { extractLayer } from './extract-layer.ts';
import { encodeOptimized, type OptimizedGraph, type PassOutcome } from './pass.ts';
import { foldRotary, trimRotaryTables } from './fold-rotary.ts';
import { uncapturable } from './capturable.ts';
import type { MemoryBudget } from './dequantize-weights.ts';
import { loadWasmPasses } from './load-wasm-passes.ts';

export interface DecoderOptions {
  /** The largest number of positions that a sequence will have. */
  positions: number;
  evaluate: Evaluate;
  /** On wasm, for dequantized weights; absent: weights stay quantized. */
  memoryBudget?: MemoryBudget | undefined;
  /** Whether keys and values are appended to in place, on the CPU. */
  inPlace?: boolean;
}

/**
 * Optimizes a decoder for one sequence without padding, one token at a time.
 *
 * Handles the graphs of two generations of exporters (early 2025: separate rotary nodes, lengths summed from the mask,
 * logits of all rows; late 2025: rotation inside attention, a bias, `num_logits_to_keep`), and matches nodes by what
 * they compute, not by name. A pass that is not known to be exact is skipped, with the reason; a graph of another kind
 * is returned unchanged.
 *
 * @throws NearsightError `load_failed` if the bytes are not an ONNX model
 */
export async function optimizeDecoder(model: GraphFile, options: DecoderOptions): Promise<OptimizedGraph> {
  const { positions, evaluate, memoryBudget, inPlace = false } = options;
  const graph = decode(model);
  const reason = opaque(graph);
  if (reason !== undefined) {
    return { ...encodeOptimized(graph, [{ pass: 'feed-lengths', reason }]), uncapturable: reason };
  }
  const outcomes: PassOutcome[] = [];
  if (graph.nodes.some(({ type }) => type === MULTI_HEAD)) {
    const { groupQueries } = await loadGroupQueries();
    outcomes.push({ pass: 'group-queries', reason: await groupQueries(graph, positions, evaluate) });
  }
  const [grouped] = outcomes;
  // Grouped queries have lengths as inputs already.
  const lengths = grouped && grouped.reason === undefined ? undefined : await feedLengths(graph, positions, evaluate);
  outcomes.push(
    { pass: 'feed-lengths', reason: lengths },
    { pass: 'fold-rotary', reason: foldRotary(graph) },
    { pass: 'keep-last-row', reason: keepLastRow(graph) },
    { pass: 'trim-rotary-tables', reason: trimRotaryTables(graph, positions) },
  );
  const onWasm = memoryBudget || inPlace ? await loadWasmPasses() : undefined;
  if (onWasm && memoryBudget) {
    outcomes.push({ pass: 'dequantize-weights', reason: onWasm.dequantizeWeights(graph, memoryBudget) });
  }
  // The last one: other passes do not look into branches.
  if (onWasm && inPlace) outcomes.push({ pass: 'write-out-attention', reason: onWasm.writeOutAttention(graph) });
  // Dequantized weights exist only while this graph is opened: a layer of it could not read them.
  const optimized = encodeOptimized(graph, outcomes, onWasm ? undefined : extractLayer(graph, LOGITS));
  return {
    ...optimized,
    returnsNewCache: !graph.nodes.some(({ type }) => type === ATTENTION),
    uncapturable: uncapturable(graph, grouped?.reason ?? lengths),
  };
}
