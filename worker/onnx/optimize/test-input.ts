/** Pseudo-random numbers between -1 and 1, none of them zero; the same sequence on every call. */
export function pseudoRandomInput(count: number): Float32Array<ArrayBuffer> {
  const numbers = new Float32Array(count);
  let state = 1;
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    // A state of 2^31 would give zero.
    numbers[i] = state / 2 ** 31 - 1 || 1;
  }
  return numbers;
}
