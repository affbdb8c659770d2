import { exp2Negative } from './fixed-point.ts';

/** Steps of an eighth of a bit, in units of 2^-15 bits, up to 32 bits. */
const SHIFT = 12;
const STEPS = 256;

/**
 * Finds the likeliest of a vocabulary without sorting all of it, which would take longer than anything else in a draw:
 * tokens are counted by steps of likelihood first, and only those of the steps that matter are sorted.
 */
export class Ranking {
  /** Of the probabilities of all tokens in sight. */
  readonly total: number;
  readonly #distances: Uint32Array;
  readonly #counts = new Uint32Array(STEPS);
  readonly #sums = new Float64Array(STEPS);

  /** @param distances from the likeliest, in units of 2^-15 bits; those of 32 bits and more are out of sight */
  constructor(distances: Uint32Array) {
    this.#distances = distances;
    for (const each of distances) {
      const step = each >>> SHIFT;
      if (step >= STEPS) continue;
      this.#counts[step]!++;
      this.#sums[step]! += exp2Negative(each);
    }
    this.total = this.#sums.reduce((sum, each) => sum + each, 0);
  }

  /** The nearest distances, ascending: at least `count`, if there are so many. */
  byCount(count: number): Uint32Array {
    return this.#nearest(this.#counts, count);
  }

  /** The nearest distances, ascending: as many as it takes for their probabilities to sum to `sum`, at least. */
  bySum(sum: number): Uint32Array {
    return this.#nearest(this.#sums, sum);
  }

  #nearest(weights: Uint32Array | Float64Array, enough: number): Uint32Array {
    let weight = 0;
    let step = 0;
    do weight += weights[step++] ?? 0;
    while (step < STEPS && weight < enough);
    return this.#distances.filter((each) => each >>> SHIFT < step).sort();
  }
}
