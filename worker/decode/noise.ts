/**
 * Seeded noise for drawing tokens: counter-based, so that it needs no state, and made of 32-bit integer steps only, so
 * that a shader gives the same bits.
 */

/** Mixes the bits of a 32-bit integer (the "lowbias32" constants, found by C. Wellons' hash prospector). */
export function mix(value: number): number {
  let x = value >>> 0;
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return (x ^ (x >>> 16)) >>> 0;
}

/** The key of one draw. Any integer is a seed; those beyond 32 bits are folded. */
export function drawKey(seed: number, choice: number, step: number): number {
  const folded = mix(seed) ^ mix(Math.floor(seed / 2 ** 32) + 0x9e3779b9);
  return mix(mix(mix(folded) + choice) + step);
}

/** No noise is larger: -ln(-ln u) at the last midpoint below 1 is 16.64. */
export const MOST_NOISE = 16.7;

/** A fresh seed, for requests that name none. */
export function freshSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
}

/**
 * Standard Gumbel noise for a token in the draw with this key: -ln(-ln u), u uniform on the 2^23 midpoints of (0, 1).
 *
 * The token with the largest logit + noise is a draw from the softmax of the logits (the Gumbel-max trick). Each
 * token's noise is its own, so neither sums nor an order of summation enter: CPU and GPU agree.
 */
export function gumbel(key: number, token: number): number {
  // 23 bits and a half: the finest grid whose midpoints are all float32 numbers, so that u is the same everywhere.
  const u = Math.fround(((mix(key ^ mix(token + 1)) >>> 9) + 0.5) * 2 ** -23);
  return Math.fround(-Math.log(Math.fround(-Math.log(u))));
}
