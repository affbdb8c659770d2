import { NearsightError } from '../src/protocol/errors.ts';

/** A module of one function with one SIMD instruction. */
// prettier-ignore
const SIMD = Uint8Array.of(
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11,
);

/**
 * Checks that this worker has what every model needs, before anything is downloaded.
 *
 * @throws NearsightError `unsupported_device` naming what is missing
 */
export function checkBrowser(): void {
  const missing = findMissing();
  if (missing) throw new NearsightError('unsupported_device', `No model can run in this browser: ${missing}.`);
}

function findMissing(): string | undefined {
  if (!('WebAssembly' in globalThis)) {
    return 'it has no WebAssembly. A security setting may have turned it off (no JIT, Lockdown Mode)';
  }
  if (!WebAssembly.validate(SIMD)) return 'its WebAssembly has no SIMD';
  try {
    // A content security policy forbids compiling only.
    void new WebAssembly.Module(SIMD);
  } catch {
    return "the content security policy forbids WebAssembly. Allow it: script-src 'wasm-unsafe-eval'";
  }
  if (!('OffscreenCanvas' in globalThis)) return 'it has no OffscreenCanvas, on which images are decoded';
  return undefined;
}
