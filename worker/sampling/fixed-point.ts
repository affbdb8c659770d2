/**
 * Logarithm and exponential in integers, so that the CPU and every GPU compute the same bits: the last bits of WGSL's own
 * `log` and `exp` may differ. Each function is a table of 257 values in 16-bit fixed point with linear interpolation. The
 * error is below 3e-6.
 */

const POINTS = 257;

/** 1 in fixed point. */
export const ONE = 2 ** 16;

/** Where the table of a function over [0, 1] starts in {@link TABLES}. */
export const LOG2_TABLE = 0;
export const EXP2_TABLE = POINTS;
export const EXP_CORRECTION_TABLE = 2 * POINTS;

/** All tables, one after the other, for a shader to read. */
export const TABLES: Int32Array = Int32Array.from({ length: 3 * POINTS }, (_, index) => {
  const x = (index % POINTS) / (POINTS - 1);
  return Math.round(ONE * valueOf(Math.floor(index / POINTS), x));
});

function valueOf(table: number, x: number): number {
  if (table === 0) return Math.log2(1 + x);
  if (table === 1) return 2 ** -x;
  // log2(-ln(1 - v) / v) for v = x / 2: the ratio of an exponential variate to its uniform variate, as a logarithm.
  return x === 0 ? 0 : Math.log2(-Math.log1p(-x / 2) / (x / 2));
}

/** @param x in 65536ths */
function interpolate(table: number, x: number): number {
  const point = table + (x >>> 8);
  const from = TABLES[point] ?? 0;
  const to = TABLES[point + 1] ?? 0;
  return from + (((to - from) * (x & 255)) >> 8);
}

/** log2 of a positive 32-bit integer, in 65536ths. */
export function log2(value: number): number {
  const zeros = Math.clz32(value);
  // Two shifts: a shift by 32 would be a shift by 0.
  return (31 - zeros) * ONE + interpolate(LOG2_TABLE, ((value << zeros) << 1) >>> 16);
}

/** 2^-x in 2^-28ths, for x in 32768ths, below 32. */
export function exp2Negative(x: number): number {
  return (interpolate(EXP2_TABLE, (x & 0x7fff) << 1) << 12) >>> (x >>> 15);
}

/** log2(-ln(1 - v) / v) in 65536ths, for v below 1/2 in 2^-32nds. */
export function expCorrection(v: number): number {
  return interpolate(EXP_CORRECTION_TABLE, v >>> 15);
}
