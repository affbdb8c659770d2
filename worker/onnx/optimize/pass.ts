import type { GraphFile } from '../model/external-data.ts';
import { encodeApart, type Graph } from '../model/graph.ts';
import { splitProducts } from './split-products.ts';

/** The optimizer's passes, each named after its function. */
export type PassName =
  /** Attention over repeated keys and values repeats nothing, and takes its lengths as inputs. */
  | 'group-queries'
  /** The decoder takes its lengths as inputs; `attention_mask` and what was computed from it are gone. */
  | 'feed-lengths'
  /** The decoder computes logits of the last row only. */
  | 'keep-last-row'
  /** Attention rotates queries and keys itself; `position_ids` is gone. */
  | 'fold-rotary'
  /** Rotary tables end where the context ends. */
  | 'trim-rotary-tables'
  /** On wasm, attention of several rows is written out. */
  | 'write-out-attention'
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

/** Why a pass was skipped; undefined if it changed the graph. */
export type Skipped = string | undefined;

/** Whether a pass changed the graph, or was skipped. */
export interface PassOutcome {
  pass: PassName;
  reason: Skipped;
}

/** A graph after all passes. */
export interface OptimizedGraph extends GraphFile {
  /** The graph reduced to one of its layers, for the self-test; absent where layers are not recognised. */
  layer?: GraphFile | undefined;
  /** The same for the CPU, where large products are computed in parts: see {@link splitProducts}. */
  cpuLayer?: GraphFile | undefined;
  /** Whether a decoder returns keys and values as tensors of a new length, because it has no attention that appends in place. */
  returnsNewCache?: boolean;
  /** Why the steps of a decoder cannot be captured on the GPU; absent if they can. */
  uncapturable?: string | undefined;
  /** One for each pass that ran. If all were skipped, the graph is unchanged. */
  outcomes: readonly PassOutcome[];
}

/** Of the copy of a matrix that the CPU makes for a product of the layer. */
const MAX_COPY_BYTES = 16 << 20;

/** Encodes the graph, or returns the original file if all passes were skipped; and its layer, if one was extracted. */
export function encodeOptimized(graph: Graph, outcomes: readonly PassOutcome[], layer?: Graph): OptimizedGraph {
  const changed = outcomes.some(({ reason }) => reason === undefined);
  const optimized = { ...(changed ? encodeApart(graph) : graph.source), outcomes };
  if (!layer) return optimized;
  const onGpu = encodeApart(layer);
  splitProducts(layer, MAX_COPY_BYTES);
  return { ...optimized, layer: onGpu, cpuLayer: encodeApart(layer) };
}
