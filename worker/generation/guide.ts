import { samplerParams } from '../sampling/sampler-params.ts';
import { isAllowed, type TokenConstraint } from '../sampling/token-constraint.ts';
import type { SamplingRequest } from './decoder.ts';

/** Tokens that are sampled one by one after a miss, at most. */
const LONGEST_PAUSE = 32;
/** Hits in a row after which a miss counts as the first. */
const FORGIVEN = 8;

/**
 * Holds an answer to its constraint while samplings are submitted ahead of it: without masks, and checked when they come
 * back. A token that the constraint allows is the one that its mask would have given, because a mask only takes others
 * away, and a token's noise and penalties do not depend on other tokens. (Top-k, top-p and min-p do depend on them, so
 * with these each token is sampled with its mask.)
 *
 * A miss wastes the samplings in flight. So after one, tokens are sampled one by one with masks: twice as many after each
 * further miss.
 */
export class Guide {
  /** Tokens of a text that can go on in one way only. They are not sampled, wherever they are: so all devices agree. */
  expected: readonly number[];
  readonly #constraint: TokenConstraint | undefined;
  readonly #forces: boolean;
  /** Tokens to sample with their masks before any is sampled ahead. */
  #pause: number;
  #nextPause = 1;
  #hits = 0;
  /** Index of the token that was sampled with its mask. */
  #masked = -1;
  #accepted = 0;

  constructor({ constraint, sampling, topLogprobs }: Pick<SamplingRequest, 'constraint' | 'sampling' | 'topLogprobs'>) {
    this.#constraint = constraint;
    this.#pause = constraint && !constraint.byIndex && samplerParams(sampling).filters ? Infinity : 0;
    // They would have no log probabilities.
    this.#forces = topLogprobs === undefined;
    this.expected = this.#forced();
  }

  /** Whether the next sampling waits for the tokens before it. */
  get waits(): boolean {
    return this.#pause > 0;
  }

  /** The mask of the next sampling; undefined: it is checked when it comes back. */
  maskFor(index: number): Uint32Array | undefined {
    if (!this.#constraint?.byIndex && !this.waits) return undefined;
    this.#masked = index;
    return this.#constraint?.mask(index);
  }

  /** @returns false if the token cannot come; then nothing has changed but the pace */
  accept(id: number): boolean {
    const constraint = this.#constraint;
    if (!constraint || constraint.byIndex) {
      constraint?.accept(id);
      return true;
    }
    const isMasked = this.#masked === this.#accepted;
    const [wanted] = this.expected;
    const mask = isMasked || wanted !== undefined ? undefined : constraint.mask(this.#accepted);
    if (wanted !== undefined ? id !== wanted : mask && !isAllowed(mask, id)) {
      this.#pause = this.#nextPause;
      this.#nextPause = Math.min(LONGEST_PAUSE, 2 * this.#nextPause);
      this.#hits = 0;
      return false;
    }
    if (isMasked) this.#pause--;
    else if (++this.#hits === FORGIVEN) this.#nextPause = 1;
    this.#take([id]);
    this.expected = wanted === undefined || this.expected.length === 1 ? this.#forced() : this.expected.slice(1);
    return true;
  }

  /** Accepts the expected tokens without sampling, at most so many. */
  takeExpected(most: number): readonly number[] {
    const taken = this.expected.slice(0, most);
    this.#take(taken);
    this.expected = [];
    return taken;
  }

  #take(ids: readonly number[]): void {
    for (const id of ids) this.#constraint?.accept(id);
    this.#accepted += ids.length;
  }

  #forced(): readonly number[] {
    return (this.#forces && this.#constraint?.forced?.()) || [];
  }
}
