import { missingAsset } from '../../src/protocol/missing-asset.ts';
import type { Device } from '../../src/protocol/model-spec.ts';
import { watchThreads } from './watch-threads.ts';

/** The API of onnxruntime-web. Each build has its own classes, so they are passed as values, never imported. */
export type Ort = typeof import('onnxruntime-web');
export type { InferenceSession, Tensor } from 'onnxruntime-web';

/** A file of onnxruntime-web: its published name, and where it is if `assets` does not say. */
type Asset = readonly [name: string, url: () => URL];

/** How wasm waits for JavaScript: `jspi` by the browser's engine, `asyncify` by instrumented code; `plain` cannot. */
type BuildName = 'jspi' | 'asyncify' | 'plain';

// One literal URL per file, because that is what bundlers find and copy.
const BUILDS: Record<BuildName, Record<'script' | 'glue' | 'wasm', Asset>> = {
  jspi: {
    script: [
      'ort.jspi.min.mjs',
      () => new URL('../../node_modules/onnxruntime-web/dist/ort.jspi.min.mjs', import.meta.url),
    ],
    glue: [
      'ort-wasm-simd-threaded.jspi.mjs',
      () => new URL('../../node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.jspi.mjs', import.meta.url),
    ],
    wasm: [
      'ort-wasm-simd-threaded.jspi.wasm',
      () => new URL('../../node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.jspi.wasm', import.meta.url),
    ],
  },
  asyncify: {
    script: [
      'ort.webgpu.min.mjs',
      () => new URL('../../node_modules/onnxruntime-web/dist/ort.webgpu.min.mjs', import.meta.url),
    ],
    glue: [
      'ort-wasm-simd-threaded.asyncify.mjs',
      () => new URL('../../node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.asyncify.mjs', import.meta.url),
    ],
    wasm: [
      'ort-wasm-simd-threaded.asyncify.wasm',
      () => new URL('../../node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.asyncify.wasm', import.meta.url),
    ],
  },
  plain: {
    script: [
      'ort.wasm.min.mjs',
      () => new URL('../../node_modules/onnxruntime-web/dist/ort.wasm.min.mjs', import.meta.url),
    ],
    glue: [
      'ort-wasm-simd-threaded.mjs',
      () => new URL('../../node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.mjs', import.meta.url),
    ],
    wasm: [
      'ort-wasm-simd-threaded.wasm',
      () => new URL('../../node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm', import.meta.url),
    ],
  },
};

let loaded: { name: BuildName; ort: Promise<Ort> } | undefined;

/**
 * Loads the build of onnxruntime-web for the device, once for this worker.
 *
 * @param folder URL of the folder with the `.mjs` and `.wasm` files, with a trailing `/`; default: where the bundler put them
 * @param threads for operators that run on the CPU
 * @throws NearsightError `load_failed` if the script cannot be fetched
 */
export function loadOrt(device: Device, folder?: string, threads = 1): Promise<Ort> {
  const name = device === 'wasm' ? 'plain' : suspendsNatively() ? 'jspi' : 'asyncify';
  if (loaded?.name === name) return loaded.ort;
  const { script, glue, wasm } = BUILDS[name];
  const locate = ([file, url]: Asset): string => (folder ? folder + file : url().href);
  const files = { mjs: locate(glue), wasm: locate(wasm) };
  const ort = configure(locate(script), files, threads).catch((cause: unknown) => {
    loaded = undefined;
    throw missingAsset('onnxruntime-web', locate(script), String(cause), cause);
  });
  loaded = { name, ort };
  return ort;
}

/**
 * How many threads a model on this device should use, `max` at most. On wasm, threads need a cross-origin isolated page
 * to share memory; on WebGPU there is no work for them.
 */
export function threadsFor(device: Device, max = Infinity): number {
  if (device === 'webgpu' || !globalThis.crossOriginIsolated) return 1;
  // All of up to four cores; of more, half are usually hyperthreads or slow cores.
  const cores = navigator.hardwareConcurrency;
  return Math.min(max, cores <= 4 ? cores : Math.min(8, Math.ceil(cores / 2)));
}

async function configure(script: string, files: { mjs: string; wasm: string }, threads: number): Promise<Ort> {
  if (threads > 1) watchThreads();
  // Hidden from bundlers: most cannot split a worker into chunks, and all can copy files.
  const ort: Ort = await import(/* @vite-ignore */ /* webpackIgnore: true */ script);
  ort.env.logLevel = 'error';
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.wasmPaths = files;
  return ort;
}

/**
 * True in Chromium with JavaScript Promise Integration (JSPI).
 *
 * Detecting `WebAssembly.Suspending` is not enough, because Firefox has it too: there JSPI is no faster (a run of
 * glimpse's decoder on WebGPU in Firefox 153: 5.5 and 4.6 ms, with asyncify 4.1 and 5.0 ms), and its support is new. In
 * Chromium 156 it takes half the time (7.8 ms, with asyncify 15.4 ms). Only Chromium has `userAgentData`.
 */
function suspendsNatively(): boolean {
  return 'Suspending' in WebAssembly && 'userAgentData' in navigator;
}
