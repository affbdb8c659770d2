import type { Sampling } from '../../src/protocol/job.ts';
import type { Tensor } from '../onnx/ort.ts';
import type { TokenConstraint } from '../sampling/token-constraint.ts';
import type { KvCache } from '../backend/kv-cache.ts';
import { yieldToEvents } from '../../src/async/yield-to-events.ts';
import { type SampledToken, CpuSampler } from '../sampling/cpu-sampler.ts';

/** How the tokens of one answer are drawn. */
export interface SamplingRequest {
  sampling: Sampling & { seed: number };
  /** The ids that were read. */
  prompt: Int32Array;
  /** Which of a request's answers this is, from 0. */
  choice: number;
  /** How many likeliest tokens to report with each; absent: no log probabilities. */
  topLogprobs: number | undefined;
  /** Most tokens that the answer may have. */
  limit: number;
  /** What limits the tokens, made for this answer alone; absent: nothing. With one, one step is in flight at a time. */
  constraint?: TokenConstraint | undefined;
}

/** The language model: reads a prompt, keeps what it has read, and gives answers to it. */
export interface Decoder {
  /** What keys and values are kept in, and most likely all that is computed from them. */
  readonly precision: 'float32' | 'float16';
  /** Keys and values of what was read. */
  readonly kv: Pick<KvCache, 'rewind' | 'snapshotBytes' | 'snapshot' | 'restore' | 'onOutOfMemory'>;
  /** Positions read so far. */
  readonly length: number;
  /**
   * Goes back to the first `kept` positions, none by default, with room for `positions` in all. Steps beyond them make
   * more room by themselves; a prompt does not.
   *
   * @throws NearsightError `context_length_exceeded` if there is no memory for it, as steps do; nothing is held then
   */
  reset(positions: number, kept?: number): Promise<void>;
  /**
   * Reads a prompt, or more of it, chunk by chunk.
   *
   * @param features the images' features in order, [views, rows, hidden] each; their rows replace the embeddings
   *   of `imageTokenId`, one after the other
   */
  prefill(ids: Int32Array, imageTokenId: number, features: readonly Tensor[], signal: AbortSignal): Promise<void>;
  /** Reads one token. */
  step(id: number): Promise<void>;
  /** The logits after what was read last. */
  logits(): Promise<Float32Array>;
  /**
   * The tokens of an answer to the prompt, whatever was drawn from it before. Whoever reads them may stop at any; when
   * that is noticed, a bounded number of steps has been made in vain, and no harm is done.
   *
   * @throws NearsightError `constraint_unsatisfiable` if the constraint leaves no token
   */
  sample(drawing: SamplingRequest, signal: AbortSignal): AsyncGenerator<SampledToken, void>;
  /** Learns how fast it is here, once its kernels have been compiled. What was read is forgotten. */
  calibrate(): Promise<void>;
  /** Leaves nothing behind of what was read. */
  clear(): void;
  /** GPU buffers held. */
  readonly buffers: number;
  close(): void;
}

/** Draws where the logits are brought to: after each step, on the CPU. */
export async function* sampleOnCpu(
  decoder: Pick<Decoder, 'logits' | 'step'>,
  { sampling, prompt, choice, topLogprobs, limit, constraint }: SamplingRequest,
  signal: AbortSignal,
): AsyncGenerator<SampledToken, void> {
  const sampler = new CpuSampler(sampling, prompt, choice, topLogprobs);
  for (let count = 1; ; count++) {
    await yieldToEvents(signal);
    const drawn = sampler.sample(await decoder.logits(), constraint?.mask());
    constraint?.accept(drawn.id);
    yield drawn;
    if (count === limit) return;
    await decoder.step(drawn.id);
  }
}
