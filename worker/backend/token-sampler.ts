import type { Sampling } from '../../src/protocol/job.ts';
import type { SampledToken } from '../sampling/cpu-sampler.ts';

/** The logits of one position, as a decoder's graph computes them. */
export interface LogitsRow {
  vocab: number;
  type: 'float32' | 'float16';
}

/** Draws held in the ring before the first is overwritten, so the most that may be submitted and not read. */
export const RING_SLOTS = 64;

/**
 * Draws tokens on the GPU, so that the next step can be submitted before anybody has read the last one. One for each
 * model; all buffers are made with it, none while an answer is decoded.
 */
export interface TokenSampler {
  /** The id drawn last: a u32 at offset 0, which the decode loop's own kernel reads to embed it. */
  readonly sampled: GPUBuffer;
  /** {@link RING_SLOTS} entries of {@link AnswerSampler.entryBytes}: the n-th draw of an answer, from 0, is in slot n % slots. */
  readonly ring: GPUBuffer;
  /** A buffer for one row of the logits that it samples from. Whoever asks for it destroys it. */
  row(label: string): GPUBuffer;
  /**
   * Starts an answer, with what the CPU's sampler would be given. Earlier draws may still be running on the GPU; what is
   * written here must be written through the queue.
   *
   * @returns undefined if this cannot be drawn on the GPU: the CPU does it then
   */
  begin(
    sampling: Sampling & { seed: number },
    prompt: Int32Array,
    choice: number,
    topLogprobs?: number,
  ): AnswerSampler | undefined;
  /** How many buffers are held. */
  readonly buffers: number;
  /** Leaves nothing of an answer in the buffers. */
  clear(encoder: GPUCommandEncoder): void;
  close(): void;
}

/** The draws of one answer. */
export interface AnswerSampler {
  /** Size of an entry in the ring: a multiple of 4. Its first word is the id; the rest is the sampler's own. */
  readonly entryBytes: number;
  /**
   * Adds the dispatches of the next draw to a pass. Which draw it is, the kernels count themselves.
   *
   * @param logits one row of the vocabulary, float32 or float16 as the sampler was made for; always one of two buffers
   * @param mask of a `TokenConstraint`; it is written through the queue at once, so a draw with one (and the first without
   *   one after it) must be submitted before the next is encoded
   */
  encode(pass: GPUComputePassEncoder, logits: GPUBuffer, mask?: Uint32Array): void;
  /**
   * What an entry says.
   *
   * @throws NearsightError `internal` if the draw found no finite logits, `constraint_unsatisfiable` if its mask left no
   *   token
   */
  read(entry: Uint32Array): SampledToken;
}
