import { RING_SLOTS } from '../backend/token-sampler.ts';

/** How often a reader should see text. */
const TEXT_MS = 50;

/** Steps faster than this are read back in lots of eight and more, so that readbacks cost nothing beside them. */
const FAST_MS = 6;
const FAST_LOT = 10;

const LEAST_MS = 0.1;

const MOST_LOT = 32;

/** Time between a draw's end on the GPU and the next submission, as a share of what a readback takes, and beyond it. */
const MARGIN = 1.1;
const MARGIN_MS = 2;

/** The part of a {@link Pace} that the loop asks and tells. */
export type Pacing = Pick<Pace, 'lot' | 'ahead' | 'begin' | 'sent' | 'arrived' | 'starved'>;

/** One draw at a time, for answers whose next token hangs on the last one. It learns nothing of how fast steps can be. */
export const ONE_BY_ONE: Pacing = { lot: 1, ahead: 1, begin() {}, sent() {}, arrived() {}, starved() {} };

/**
 * How many draws are read back together, and how many may be submitted ahead of what has been read.
 *
 * Enough to keep the GPU at work while ids travel, which takes Firefox 100 ms and Chromium one or two; and no more,
 * since all that are ahead when an answer ends were made in vain.
 */
export class Pace {
  readonly #latency: number;
  #step: number;
  /** Draws that have arrived since `#since`. */
  #count = 0;
  #since: number | undefined;
  #lots = 0;

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
    this.#lots = 0;
  }

  /** Draws in the next readback. The first comes alone and the second early: short answers should not wait for company. */
  get lot(): number {
    if (this.#lots === 0) return 1;
    return this.#lots === 1 ? Math.min(4, this.#steady) : this.#steady;
  }

  /** Most draws that may be submitted and not read. */
  get ahead(): number {
    const underWay = Math.ceil((MARGIN * this.#latency + MARGIN_MS) / this.#step);
    return Math.min(RING_SLOTS, this.#steady + underWay);
  }

  /** A lot was sent. */
  sent(): void {
    this.#lots++;
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
    this.#step = (this.#step + Math.max(LEAST_MS, elapsed / this.#count)) / 2;
    this.#since = now;
    this.#count = 0;
  }

  /** All that was allowed ahead is here, and more could have been made: the GPU stood still. */
  starved(): void {
    this.#step = Math.max(LEAST_MS, this.#step * 0.7);
  }

  get #steady(): number {
    const lot = Math.floor(TEXT_MS / this.#step);
    return Math.max(this.#step < FAST_MS ? FAST_LOT : 1, Math.min(MOST_LOT, lot));
  }
}
