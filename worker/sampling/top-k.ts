import { exp2Negative } from './fixed-point.ts';

/** Bins of an eighth of a bit, in units of 2^-15 bits, up to 32 bits. */
const SHIFT = 12;
const BINS = 256;

/**
 * Finds the likeliest tokens of a vocabulary without sorting all of it, which would take longer than the rest of sampling.
 * Tokens are counted in bins of similar probability, and only those in the likeliest bins are sorted.
 */
export class TopTokens {
  /** Sum of the probabilities of all tokens that are not negligible. */
  readonly total: number;
  readonly #below: Uint32Array;
  readonly #counts = new Uint32Array(BINS);
  readonly #sums = new Float64Array(BINS);

  /** @param below how far the tokens' logits are below the largest, in units of 2^-15 bits; 32 bits are negligible */
  constructor(below: Uint32Array) {
    this.#below = below;
    for (const units of below) {
      const bin = units >>> SHIFT;
      if (bin >= BINS) continue;
      this.#counts[bin]!++;
      this.#sums[bin]! += exp2Negative(units);
    }
    this.total = this.#sums.reduce((total, sum) => total + sum, 0);
  }

  /** How far the likeliest tokens are below the largest logit, ascending: at least `count` tokens, if there are so many. */
  byCount(count: number): Uint32Array {
    return this.#likeliest(this.#counts, count);
  }

  /** The same for as many tokens as it takes for their probabilities to sum to `sum`, at least. */
  bySum(sum: number): Uint32Array {
    return this.#likeliest(this.#sums, sum);
  }

  #likeliest(weights: Uint32Array | Float64Array, enough: number): Uint32Array {
    let weight = 0;
    let bins = 0;
    do weight += weights[bins++] ?? 0;
    while (bins < BINS && weight < enough);
    return this.#below.filter((units) => units >>> SHIFT < bins).sort();
  }
}
