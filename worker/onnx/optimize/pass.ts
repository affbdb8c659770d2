import type { GraphFile } from '../model/external-data.ts';
import { encode, type Graph, type LazyData, weightFiles } from '../model/graph.ts';

/** What surgery may do to a graph. */
export type PassName =
  /** The decoder takes its lengths as inputs; `attention_mask` and what was computed from it are gone. */
  | 'lengths'
  /** The decoder gives logits of the last row only. */
  | 'last-row'
  /** Attention rotates queries and keys itself; `position_ids` is gone. */
  | 'rotary'
  /** Matrices of 4 bits are ordinary ones, made while the graph is opened. */
  | 'widen'
  /** Rotary tables end where the context ends. */
  | 'rotary-tables'
  /** The vision encoder's inputs that are the same for every image, such as a mask, are gone. */
  | 'whole-views'
  /** LayerNormalization that was written out is one operator. */
  | 'layer-norm'
  /** Biases are added where the matrix is multiplied. */
  | 'bias'
  /** Attention that was written out is one operator. */
  | 'attention'
  /** The same for the tanh approximation of GELU. */
  | 'gelu';

/** How one rewrite went: done, or why not. */
export interface PassOutcome {
  pass: PassName;
  /** Why the graph was left as it is in this respect; absent if the rewrite was made. */
  reason?: string;
}

/** A graph after surgery. */
export interface OptimizedGraph extends GraphFile {
  /** The same with one of its layers, if it has several like it. */
  layer?: GraphFile | undefined;
  /** One for each rewrite that was tried. If all have a reason, the graph is the one it was. */
  outcomes: readonly PassOutcome[];
  /** Names of the inputs that it takes now. */
  inputs: readonly string[];
}

export const done = (rewrite: PassName): PassOutcome => ({ pass: rewrite });

export const skipped = (rewrite: PassName, reason: string): PassOutcome => ({ pass: rewrite, reason });

/** Closes the graph again, if anything was changed. */
export function close(graph: Graph, outcomes: readonly PassOutcome[]): OptimizedGraph {
  const changed = outcomes.some(({ reason }) => reason === undefined);
  const inputs = graph.inputs.map(({ name }) => name).filter((name) => !graph.tensors.has(name));
  if (!changed) return { ...graph.source, outcomes, inputs };
  const externalData = weightFiles(graph);
  for (const { lazy: late } of graph.tensors.values()) {
    if (late) externalData.push({ path: late.location, data: lateBytes(late) });
  }
  return { graph: encode(graph, true), externalData, outcomes, inputs };
}

/**
 * Bytes that are made while they are read, so that JavaScript holds one tensor's at a time, not all beside
 * onnxruntime's: of external data it asks for `byteLength` and for one `subarray` a tensor, which it copies.
 */
function lateBytes({ bytes, make }: LazyData): Uint8Array {
  return Object.defineProperties(new Uint8Array(), {
    byteLength: { value: bytes },
    subarray: { value: (from: number, to: number) => make().subarray(from, to) },
  });
}
