import type { Sampling } from '../../src/protocol/job.ts';
import type { KvCache } from '../backend/kv-cache.ts';
import type { Prompt } from '../families/processor.ts';
import type { Tensor } from '../onnx/ort.ts';
import type { SampledToken } from '../sampling/cpu-sampler.ts';
import type { TokenConstraint } from '../sampling/token-constraint.ts';

/** How the tokens of one answer are sampled. */
export interface SamplingRequest {
  sampling: Sampling & { seed: number };
  /** The prompt's token ids. */
  prompt: Int32Array;
  /** Index of the answer among those of its request, from 0. */
  choice: number;
  /** How many of the likeliest tokens to report with each token; absent: no log probabilities. */
  topLogprobs: number | undefined;
  /** Maximum number of tokens in the answer. */
  limit: number;
  /** Limits the tokens of this answer only; absent: no limit. Unless it is `byIndex`, one step is in flight at a time. */
  constraint?: TokenConstraint | undefined;
}

/** What a decoder holds of the positions it has read. */
export type CachedStates = Pick<
  KvCache,
  'rewind' | 'reachable' | 'snapshotBytes' | 'snapshot' | 'restore' | 'onOutOfMemory'
>;

/** The language model: reads a prompt, keeps its keys and values, and samples answers to it. */
export interface Decoder {
  /** Type of the keys and values, and most likely of everything computed from them. */
  readonly precision: 'float32' | 'float16';
  /** Keys and values of the positions read. */
  readonly kv: CachedStates;
  /** Positions read so far. */
  readonly length: number;
  /** Whether steps are captured on the GPU and replayed. Setting it to false ends that. */
  replays: boolean;
  /**
   * Rewinds to the first `kept` positions (default: 0) and reserves memory for `positions` in total. Steps beyond them
   * grow the reservation; a prompt does not.
   *
   * @throws NearsightError `context_length_exceeded` if there is no memory, as steps do; the decoder is empty then
   */
  reset(positions: number, kept?: number): Promise<void>;
  /** Told the whole prompt before {@link prefill} reads its rest: where its positions depend on its images. */
  plan?(prompt: Prompt): void;
  /**
   * Reads a prompt, or the rest of one, in chunks.
   *
   * @param ids at least one
   * @param features of the images in order, [tiles, rows, hidden] each; their rows replace the embeddings of
   *   `imageTokenId` one by one
   */
  prefill(ids: Int32Array, imageTokenId: number, features: readonly Tensor[], signal: AbortSignal): Promise<void>;
  /** Reads one token. */
  step(id: number): Promise<void>;
  /** Reads several tokens of an answer, in chunks as a prompt's. */
  read(ids: Int32Array, signal: AbortSignal): Promise<void>;
  /** The logits after the last position read. The next run may overwrite them. */
  logits(): Promise<Float32Array>;
  /**
   * Samples an answer to the prompt; earlier answers to it do not matter. The consumer may stop at any token. A bounded
   * number of further steps may have been submitted by then; they are discarded.
   *
   * @throws NearsightError `constraint_unsatisfiable` if the constraint allows no token
   */
  sample(request: SamplingRequest, signal: AbortSignal): AsyncGenerator<SampledToken, void>;
  /** Measures the time of a step. Called after the kernels are compiled; drops all positions. */
  calibrate(): Promise<void>;
  /** Drops all positions and erases what was computed from them. */
  clear(): void;
  /** GPU buffers held, those of snapshots too. */
  readonly buffers: number;
  close(): void;
}
