import { RING_SLOTS } from '../backend/token-sampler.ts';

/** How often a reader should see text. */
const TEXT_MS = 50;

/** Steps faster than this are read back in lots of eight and more, so that readbacks cost nothing beside them. */
const FAST_MS = 6;
const FAST_BATCH = 10;

const MIN_STEP_MS = 0.1;

const MAX_BATCH = 32;

/** Time between a draw's end on the GPU and the next submission, as a share of what a readback takes, and beyond it. */
const MARGIN = 1.1;
const MARGIN_MS = 2;

/** The part of a {@link ReadbackScheduler} that the loop asks and tells. */
export type Pacing = Pick<ReadbackScheduler, 'batchSize' | 'maxInFlight' | 'begin' | 'sent' | 'arrived' | 'reportIdle'>;

/** One draw at a time, for answers whose next token hangs on the last one. It learns nothing of how fast steps can be. */
export const ONE_BY_ONE: Pacing = {
  batchSize: 1,
  maxInFlight: 1,
  begin() {},
  sent() {},
  arrived() {},
  reportIdle() {},
};

/**
 * How many draws are read back together, and how many may be submitted ahead of what has been read.
 *
 * Enough to keep the GPU at work while ids travel, which takes Firefox 100 ms and Chromium one or two; and no more,
 * since all that are in flight when an answer ends are wasted.
 */
export class ReadbackScheduler {
  readonly #latency: number;
  #step: number;
  /** Draws that have arrived since `#since`. */
  #count = 0;
  #since: number | undefined;
  #batches = 0;

  /**
   * @param latency of a readback from an idle GPU, in milliseconds
   * @param step that a step takes, as far as is known; rather more than less, so that few are made in vain
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

  /** Draws in the next readback. The first comes alone and the second early: short answers should not wait for company. */
  get batchSize(): number {
    if (this.#batches === 0) return 1;
    return this.#batches === 1 ? Math.min(4, this.#steady) : this.#steady;
  }

  /** Most draws that may be submitted and not read. */
  get maxInFlight(): number {
    const underWay = Math.ceil((MARGIN * this.#latency + MARGIN_MS) / this.#step);
    return Math.min(RING_SLOTS, this.#steady + underWay);
  }

  /** A lot was sent. */
  sent(): void {
    this.#batches++;
  }

  /** Draws have arrived, at this time in milliseconds. */
  arrived(draws: number, now: number): void {
    if (this.#since === undefined) {
      this.#since = now;
      this.#count = 0;
      return;
    }
    this.#count += draws;
    const elapsed = now - this.#since;
    // Firefox brings several lots at once: over less than that, there is no telling how long a step took.
    if (elapsed < Math.max(TEXT_MS, this.#latency)) return;
    this.#step = (this.#step + Math.max(MIN_STEP_MS, elapsed / this.#count)) / 2;
    this.#since = now;
    this.#count = 0;
  }

  /** All that was allowed ahead is here, and more could have been made: the GPU stood still. */
  reportIdle(): void {
    this.#step = Math.max(MIN_STEP_MS, this.#step * 0.7);
  }

  get #steady(): number {
    const lot = Math.floor(TEXT_MS / this.#step);
    return Math.max(this.#step < FAST_MS ? FAST_BATCH : 1, Math.min(MAX_BATCH, lot));
  }
}
