import type { GraphFile } from '../model/external-data.ts';
import { encode, type Graph, type LazyData, weightFiles } from '../model/graph.ts';

/** The optimizer's passes, each named after its function. */
export type PassName =
  /** The decoder takes its lengths as inputs; `attention_mask` and what was computed from it are gone. */
  | 'feed-lengths'
  /** The decoder computes logits of the last row only. */
  | 'keep-last-row'
  /** Attention rotates queries and keys itself; `position_ids` is gone. */
  | 'fold-rotary'
  /** Rotary tables end where the context ends. */
  | 'trim-rotary-tables'
  /** 4-bit matrices become float32, computed while the graph is opened. */
  | 'dequantize-weights'
  /** The vision encoder's inputs that are the same for every image, such as a mask, are gone. */
  | 'drop-pixel-mask'
  /** LayerNormalization is one operator. */
  | 'fuse-layer-norm'
  /** MatMulNBits adds the bias that follows it. */
  | 'fuse-bias'
  /** Attention is one operator. */
  | 'fuse-attention'
  /** The tanh approximation of GELU is one operator. */
  | 'fuse-gelu';

/** Whether a pass changed the graph, or was skipped. */
export interface PassOutcome {
  pass: PassName;
  /** Why the pass was skipped; absent if it changed the graph. */
  reason?: string;
}

/** A graph after all passes. */
export interface OptimizedGraph extends GraphFile {
  /** The graph reduced to one of its layers, for the self-test; absent where layers are not recognised. */
  layer?: GraphFile | undefined;
  /** One for each pass that ran. If all were skipped, the graph is unchanged. */
  outcomes: readonly PassOutcome[];
  /** Names of the inputs that the optimized graph takes. */
  inputs: readonly string[];
}

export const done = (pass: PassName): PassOutcome => ({ pass });

export const skipped = (pass: PassName, reason: string): PassOutcome => ({ pass, reason });

/** Encodes the graph, or returns the original file if all passes were skipped. */
export function encodeOptimized(graph: Graph, outcomes: readonly PassOutcome[]): OptimizedGraph {
  const changed = outcomes.some(({ reason }) => reason === undefined);
  const inputs = graph.inputs.map(({ name }) => name).filter((name) => !graph.tensors.has(name));
  if (!changed) return { ...graph.source, outcomes, inputs };
  const externalData = weightFiles(graph);
  for (const { lazy } of graph.tensors.values()) {
    if (lazy) externalData.push({ path: lazy.location, data: lazyBytes(lazy) });
  }
  return { graph: encode(graph, true), externalData, outcomes, inputs };
}

/**
 * Bytes that are computed when they are read, so that JavaScript holds one tensor at a time: onnxruntime reads
 * `byteLength` and one `subarray` for each tensor, which it copies.
 */
function lazyBytes({ bytes, make }: LazyData): Uint8Array {
  return Object.defineProperties(new Uint8Array(), {
    byteLength: { value: bytes },
    subarray: { value: (from: number, to: number) => make().subarray(from, to) },
  });
}
