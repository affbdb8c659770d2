import { samplerParams } from '../sampling/sampler-params.ts';
import { isAllowed, type TokenConstraint } from '../sampling/token-constraint.ts';
import type { SamplingRequest } from './decoder.ts';

/** Tokens that are sampled one by one where too many miss, at most. */
const LONGEST_PAUSE = 32;
/** Weight of the last token in the share of hits. */
const RECENT = 0.3;
/** Below this share of hits, waiting for each token is faster than going back so often. */
const WORTH_IT = 0.5;

/**
 * Holds an answer to its constraint while samplings are submitted ahead of it: without masks, and checked when they come
 * back. A token that the constraint allows is the one that its mask would have given, because a mask only takes others
 * away, and a token's noise and penalties do not depend on other tokens. (Top-k, top-p and min-p do depend on them, so
 * with these each token is sampled with its mask.)
 *
 * A miss wastes the samplings in flight, and costs the time of a readback twice. The token after it, as any whose
 * predecessors are known, is sampled with its mask. Where too many miss, each token waits for the one before, for a while
 * that gets longer each time.
 */
export class Guide {
  /** Tokens of a text that can go on in one way only. They are not sampled, wherever they are: so all devices agree. */
  expected: readonly number[];
  readonly #constraint: TokenConstraint | undefined;
  readonly #forces: boolean;
  /** Tokens that wait for the one before, and have masks. */
  #pause: number;
  #nextPause = 2;
  #hitShare = 1;
  /** Whether all tokens before the next sampling are known. */
  #isCertain = true;
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
    const isKnown = this.#isCertain || this.waits || this.#constraint?.byIndex;
    this.#isCertain = false;
    if (!isKnown) return undefined;
    this.#masked = index;
    return this.#constraint?.mask(index);
  }

  /** @returns false if the token cannot come; then nothing has changed but how many are in flight */
  accept(id: number): boolean {
    const constraint = this.#constraint;
    if (!constraint || constraint.byIndex) {
      constraint?.accept(id);
      return true;
    }
    const isMasked = this.#masked === this.#accepted;
    const [wanted] = this.expected;
    const mask = isMasked || wanted !== undefined ? undefined : constraint.mask(this.#accepted);
    const hit = wanted !== undefined ? id === wanted : !mask || isAllowed(mask, id);
    if (!isMasked) this.#learn(hit);
    if (!hit) return false;
    // Nothing is in flight where a pause ends.
    if (isMasked && this.waits) this.#isCertain = --this.#pause === 0;
    this.#take([id]);
    this.expected = wanted === undefined || this.expected.length === 1 ? this.#forced() : this.expected.slice(1);
    return true;
  }

  /** Accepts the expected tokens without sampling, at most so many. */
  takeExpected(most: number): readonly number[] {
    const taken = this.expected.slice(0, most);
    this.#take(taken);
    this.expected = this.#forced();
    this.#isCertain = true;
    return taken;
  }

  #learn(hit: boolean): void {
    this.#hitShare += RECENT * (Number(hit) - this.#hitShare);
    if (hit) return;
    this.#isCertain = true;
    if (this.#hitShare >= WORTH_IT) return;
    this.#pause = this.#nextPause;
    this.#nextPause = Math.min(LONGEST_PAUSE, 2 * this.#nextPause);
    // The next try may miss once.
    this.#hitShare = WORTH_IT / (1 - RECENT);
  }

  #take(ids: readonly number[]): void {
    for (const id of ids) this.#constraint?.accept(id);
    this.#accepted += ids.length;
  }

  #forced(): readonly number[] {
    return (this.#forces && this.#constraint?.forced?.()) || [];
  }
}
