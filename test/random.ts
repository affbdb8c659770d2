/** Seeded random choices: a failure names its seed, and the seed repeats it. */

/** A number from 0 up to, but not including, 1. */
export type Random = () => number;

/** Marsaglia's xorshift32. */
export function xorshift(seed: number): Random {
  let state = seed || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

/** An integer from 0 up to, but not including, `below`. */
export function integer(random: Random, below: number): number {
  return Math.floor(random() * below);
}

export function pick<T>(random: Random, from: readonly T[]): T {
  const at = integer(random, from.length);
  if (at >= from.length) throw new Error('nothing to pick from');
  // In bounds. An item may itself be undefined.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return from[at] as T;
}

/** The seed of a fuzzing run: `FUZZ_SEED`, or a new one at each run. */
export function runSeed(): number {
  return Number(process.env['FUZZ_SEED'] ?? Date.now() % 2 ** 31);
}
