import { RING_SLOTS } from '../backend/token-sampler.ts';

/** Intended time between two pieces of text. */
const TEXT_MS = 50;

/** Steps faster than this are read back in large batches, so that the cost of a readback is negligible. */
const FAST_MS = 6;
const FAST_BATCH = 10;

const MIN_STEP_MS = 0.1;

const MAX_BATCH = 32;

/** Time from the end of a step on the GPU to the next submission: this multiple of a readback's latency, plus this. */
const MARGIN = 1.1;
const MARGIN_MS = 2;

/**
 * Decides how many sampled tokens are read back together, and how many may be in flight: submitted and not read back.
 *
 * Enough to keep the GPU busy during a readback, which takes 100 ms in Firefox and one or two in Chromium. No more,
 * because all that are in flight when an answer ends are wasted.
 */
export class ReadbackScheduler {
  readonly #latency: number;
  /** Estimated milliseconds of a step. */
  #step: number;
  /** Tokens received since `#since`. */
  #count = 0;
  #since: number | undefined;
  #batches = 0;

  /**
   * @param latency of a readback from an idle GPU, in milliseconds
   * @param step estimated duration of a step; too long is better than too short, because fewer steps are wasted
   */
  constructor(latency: number, step: number) {
    this.#latency = latency;
    this.#step = step;
  }

  /** Starts an answer. */
  begin(): void {
    this.#since = undefined;
    this.#batches = 0;
  }

  /** Tokens in the next batch. The first is alone and the second batch is small, so that short answers are not delayed. */
  get batchSize(): number {
    if (this.#batches === 0) return 1;
    return this.#batches === 1 ? Math.min(4, this.#steadySize) : this.#steadySize;
  }

  /** Maximum number of tokens that may be submitted and not read back. */
  get maxInFlight(): number {
    const duringReadback = Math.ceil((MARGIN * this.#latency + MARGIN_MS) / this.#step);
    return Math.min(RING_SLOTS, this.#steadySize + duringReadback);
  }

  /** A batch was sent. */
  sent(): void {
    this.#batches++;
  }

  /** A batch of so many tokens was received, at this time in milliseconds. */
  received(tokens: number, now: number): void {
    if (this.#since !== undefined) {
      this.#count += tokens;
      const elapsed = now - this.#since;
      // Firefox delivers several batches at once: over a shorter time, the duration of a step cannot be measured.
      if (elapsed < Math.max(TEXT_MS, this.#latency)) return;
      this.#step = (this.#step + Math.max(MIN_STEP_MS, elapsed / this.#count)) / 2;
    }
    this.#since = now;
    this.#count = 0;
  }

  /** All tokens in flight were received while the loop waited: the GPU was idle, so steps are faster than estimated. */
  reportIdle(): void {
    this.#step = Math.max(MIN_STEP_MS, this.#step * 0.7);
  }

  get #steadySize(): number {
    const size = Math.floor(TEXT_MS / this.#step);
    return Math.max(this.#step < FAST_MS ? FAST_BATCH : 1, Math.min(MAX_BATCH, size));
  }
}
