/**
 * The transcendental functions of drawing, in integers, so that a CPU and any GPU come to the same bits: WGSL's own
 * `log` and `exp` are free to differ in the last ones. Each curve is sampled at 257 points in 16-bit fixed point, with
 * straight lines between them, which are off by less than 3e-6.
 */

const POINTS = 257;

/** 1 in fixed point. */
export const ONE = 2 ** 16;

/** A curve over [0, 1]; its number is its place in {@link CURVES}. */
export const LOG = 0;
export const EXP = POINTS;
export const EXP_CORRECTION = 2 * POINTS;

/** All the curves, one after the other, for a shader to read. */
export const CURVES: Int32Array = Int32Array.from({ length: 3 * POINTS }, (_, index) => {
  const x = (index % POINTS) / (POINTS - 1);
  return Math.round(ONE * shape(Math.floor(index / POINTS), x));
});

function shape(curve: number, x: number): number {
  if (curve === 0) return Math.log2(1 + x);
  if (curve === 1) return 2 ** -x;
  // log2(-ln(1 - v) / v) for v = x / 2: what an exponential variate is above the uniform one it is made from.
  return x === 0 ? 0 : Math.log2(-Math.log1p(-x / 2) / (x / 2));
}

/** @param x the place on the curve, in 65536ths */
function read(curve: number, x: number): number {
  const point = curve + (x >>> 8);
  const from = CURVES[point] ?? 0;
  const to = CURVES[point + 1] ?? 0;
  return from + (((to - from) * (x & 255)) >> 8);
}

/** log2 of a positive 32-bit integer, in 65536ths. */
export function log2(value: number): number {
  const zeros = Math.clz32(value);
  // Twice: a shift by 32 would be a shift by 0.
  return (31 - zeros) * ONE + read(LOG, ((value << zeros) << 1) >>> 16);
}

/** 2^-x in 2^-28ths, for x in 32768ths, below 32. */
export function exp2Negative(x: number): number {
  return (read(EXP, (x & 0x7fff) << 1) << 12) >>> (x >>> 15);
}

/** log2(-ln(1 - v) / v) in 65536ths, for v below 1/2 in 2^-32nds. */
export function expCorrection(v: number): number {
  return read(EXP_CORRECTION, v >>> 15);
}
