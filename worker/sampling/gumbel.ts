import { expCorrection, log2, ONE } from './fixed-point.ts';

/**
 * Seeded Gumbel noise for sampling tokens. It is counter-based, so it needs no state, and uses 32-bit integers only, so
 * that a shader computes the same bits (worker/webgpu/shaders).
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

/** The key of an answer. Any integer is a seed; those beyond 32 bits are folded. */
export function answerKey(seed: number, choice: number): number {
  const folded = mix(seed) ^ mix(Math.floor(seed / 2 ** 32) + 0x9e3779b9);
  return mix(mix(folded) + choice);
}

/** The key of one token of an answer. */
export function sampleKey(answer: number, step: number): number {
  return mix(answer + step);
}

/** Upper bound of the noise, in bits. */
export const MAX_GUMBEL = 32;

/** A fresh seed, for requests that name none. */
export function freshSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
}

/** log2(ln 2), in 65536ths. */
export const LOG2_LN2 = -34657;

/**
 * Standard Gumbel noise of a token, in bits (divided by ln 2): -log2(-ln(1 - v)), with v uniform on the 2^31 odd multiples
 * of 2^-32 in (0, 1). It is a multiple of 2^-16 below 32, so float32 holds it exactly.
 *
 * The token with the largest logit + noise is a sample from the softmax of the logits (the Gumbel-max trick). The noise of
 * each token is independent, so no sum and no order of summation matters: CPU and GPU agree.
 */
export function gumbel(key: number, token: number): number {
  const v = (mix(key ^ mix(token + 1)) | 1) >>> 0;
  // The exponential variate -ln(1 - v) needs a small relative error, which a logarithm near v = 0 does not have.
  const exponential =
    v < 2 ** 31 ? log2(v) - 32 * ONE + expCorrection(v) : log2(32 * ONE - log2(2 ** 32 - v)) - 16 * ONE + LOG2_LN2;
  return -exponential / ONE;
}
