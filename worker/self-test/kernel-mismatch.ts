import { NearsightError } from '../../src/protocol/errors.ts';

/** The error of a failed self-test: another variant or device may still compute correctly. */
export function selfTestFailed(message: string): NearsightError {
  return new NearsightError('unsupported_device', message);
}

/**
 * Compares the results of one computation done in two ways.
 *
 * @param what what differs, for the message
 * @throws NearsightError `unsupported_device` if they differ by more than `tolerance` times their range, or hold NaN
 */
export function checkDifference(expected: Float32Array, actual: Float32Array, tolerance: number, what: string): void {
  const difference = maxRelativeDifference(expected, actual);
  // Not `>`, which NaN would pass.
  if (!(difference <= tolerance)) {
    throw selfTestFailed(`${what} by ${difference.toExponential(1)} of their range`);
  }
}

/** The largest difference between two lists of numbers, relative to the range of the first. */
export function maxRelativeDifference(expected: Float32Array, actual: Float32Array): number {
  let difference = 0;
  let min = Infinity;
  let max = -Infinity;
  for (const [index, value] of expected.entries()) {
    difference = Math.max(difference, Math.abs(value - (actual[index] ?? NaN)));
    min = Math.min(min, value);
    max = Math.max(max, value);
  }
  return difference / (max - min);
}
