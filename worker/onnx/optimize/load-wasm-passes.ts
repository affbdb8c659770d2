import { importChunk } from '../../../src/async/import-chunk.ts';

type WasmPasses = typeof import('./wasm-passes.ts');

/** The passes for the CPU are a file of their own, which a page with a GPU never fetches. */
export function loadWasmPasses(): Promise<WasmPasses> {
  return importChunk<WasmPasses>('wasm-passes.js', new URL('./wasm-passes.ts', import.meta.url));
}
