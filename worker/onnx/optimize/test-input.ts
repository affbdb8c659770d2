/** Numbers between -1 and 1, the same each time, none of them zero: a linear congruential generator's. */
export function pseudoRandomInput(count: number): Float32Array<ArrayBuffer> {
  const numbers = new Float32Array(count);
  let state = 1;
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    // The generator passes through its middle, 2^31, once in 2^32 numbers.
    numbers[i] = state / 2 ** 31 - 1 || 1;
  }
  return numbers;
}
