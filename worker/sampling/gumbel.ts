import { expCorrection, log2, ONE } from './fixed-point.ts';

/**
 * Seeded noise for drawing tokens: counter-based, so that it needs no state, and made of 32-bit integer steps only, so
 * that a shader gives the same bits (worker/gpu/shaders).
 */

/** The "lowbias32" constants, found by C. Wellons' hash prospector. */
export const MIX = [0x7feb352d, 0x846ca68b] as const;

/** Mixes the bits of a 32-bit integer. */
export function mix(value: number): number {
  let x = value >>> 0;
  x = Math.imul(x ^ (x >>> 16), MIX[0]);
  x = Math.imul(x ^ (x >>> 15), MIX[1]);
  return (x ^ (x >>> 16)) >>> 0;
}

/** What the keys of all draws of one answer are made from. Any integer is a seed; those beyond 32 bits are folded. */
export function answerKey(seed: number, choice: number): number {
  const folded = mix(seed) ^ mix(Math.floor(seed / 2 ** 32) + 0x9e3779b9);
  return mix(mix(folded) + choice);
}

/** The key of one draw. */
export function sampleKey(answer: number, step: number): number {
  return mix(answer + step);
}

/** No noise is larger, in bits. */
export const MAX_NOISE = 32;

/** A fresh seed, for requests that name none. */
export function freshSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
}

/** log2(ln 2), in 65536ths. */
export const LOG2_LN2 = -34657;

/**
 * Standard Gumbel noise for a token in the draw with this key, in bits (divided by ln 2): -log2(-ln(1 - v)), v uniform
 * on the 2^31 odd 2^-32nds of (0, 1). A multiple of 2^-16 below 32, so that float32 holds it exactly.
 *
 * The token with the largest logit + noise is a draw from the softmax of the logits (the Gumbel-max trick). Each
 * token's noise is its own, so neither sums nor an order of summation enter: CPU and GPU agree.
 */
export function gumbel(key: number, token: number): number {
  const v = (mix(key ^ mix(token + 1)) | 1) >>> 0;
  // The exponential variate -ln(1 - v) has to be exact relative to its size, which near v = 0 a logarithm is not.
  const exponential =
    v < 2 ** 31 ? log2(v) - 32 * ONE + expCorrection(v) : log2(32 * ONE - log2(2 ** 32 - v)) - 16 * ONE + LOG2_LN2;
  return -exponential / ONE;
}
