import type { AnswerParams, SampledToken } from '../sampling/cpu-sampler.ts';

/** Sampled tokens that the ring holds, so the maximum that may be submitted and not read back. */
export const RING_SLOTS = 64;

/** The row of logits that a decoder computes at each run. */
export interface LogitsRow {
  vocab: number;
  type: 'float32' | 'float16';
}

/**
 * Samples tokens on the GPU, so that the next step can be submitted before the last token is read back. There is one for
 * each model. All buffers are created with it, none during an answer.
 */
export interface TokenSampler {
  /** The token sampled last: a u32 at offset 0, which the {@link Embedder} reads. */
  readonly sampled: GPUBuffer;
  /** {@link RING_SLOTS} entries of {@link AnswerSampler.entryBytes}: an answer's n-th token, from 0, is in slot n % slots. */
  readonly ring: GPUBuffer;
  /** Creates a buffer for one row of logits to sample from. `clear` erases it, `close` destroys it. */
  createLogits(label: string): GPUBuffer;
  /**
   * Starts an answer with the arguments of the CPU sampler. Earlier samplings may still be in flight, so all writes here
   * go through the queue.
   *
   * @returns undefined if this cannot be sampled on the GPU; the CPU does it then
   */
  begin(...answer: AnswerParams): AnswerSampler | undefined;
  /** Number of buffers held. */
  readonly buffers: number;
  /** Erases everything about answers from the buffers. */
  clear(encoder: GPUCommandEncoder): void;
  close(): void;
}

/** Samples the tokens of one answer. */
export interface AnswerSampler {
  /** Size of an entry in the ring: a multiple of 4. Its first word is the token id; the rest is internal to the sampler. */
  readonly entryBytes: number;
  /**
   * Adds the dispatches that sample the next token to a pass. The kernels count the tokens themselves.
   *
   * @param logits a row that {@link TokenSampler.createLogits} created
   * @param mask of a `TokenConstraint`. It is written through the queue at once, so a sampling with a mask (and the first
   *   without one after it) must be submitted before the next is encoded
   */
  encode(pass: GPUComputePassEncoder, logits: GPUBuffer, mask?: Uint32Array): void;
  /** Goes on after these tokens of the answer, whatever was sampled: their number and counts decide the next one. */
  resume(tokens: readonly number[]): void;
  /**
   * Decodes an entry of the ring.
   *
   * @throws NearsightError `internal` if the logits were not finite, `constraint_unsatisfiable` if the mask allowed no
   *   token
   */
  read(entry: Uint32Array): SampledToken;
}
