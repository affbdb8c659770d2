import asyncifyGlue from 'onnxruntime-web/ort-wasm-simd-threaded.asyncify.mjs?url';
import asyncifyWasm from 'onnxruntime-web/ort-wasm-simd-threaded.asyncify.wasm?url';
import jspiGlue from 'onnxruntime-web/ort-wasm-simd-threaded.jspi.mjs?url';
import jspiWasm from 'onnxruntime-web/ort-wasm-simd-threaded.jspi.wasm?url';
import plainGlue from 'onnxruntime-web/ort-wasm-simd-threaded.mjs?url';
import plainWasm from 'onnxruntime-web/ort-wasm-simd-threaded.wasm?url';
import jspiScript from 'onnxruntime-web/jspi?url';
import plainScript from 'onnxruntime-web/wasm?url';
import asyncifyScript from 'onnxruntime-web/webgpu?url';
import { NearsightError } from '../../src/protocol/errors.ts';
import type { Device } from '../../src/protocol/model-spec.ts';

/** The API of onnxruntime-web. Each build brings its own classes, so they are passed on, never imported. */
export type Ort = typeof import('onnxruntime-web');
export type { InferenceSession, Tensor } from 'onnxruntime-web';

/** One build of onnxruntime-web: its three files, under the names by which it is published. */
interface Build {
  script: [name: string, url: string];
  glue: [name: string, url: string];
  wasm: [name: string, url: string];
}

/** Which way of suspending wasm while JavaScript waits: `jspi` by the engine, `asyncify` by rewritten code. */
type BuildName = 'jspi' | 'asyncify' | 'plain';

const BUILDS: Record<BuildName, Build> = {
  jspi: {
    script: ['ort.jspi.min.mjs', jspiScript],
    glue: ['ort-wasm-simd-threaded.jspi.mjs', jspiGlue],
    wasm: ['ort-wasm-simd-threaded.jspi.wasm', jspiWasm],
  },
  asyncify: {
    script: ['ort.webgpu.min.mjs', asyncifyScript],
    glue: ['ort-wasm-simd-threaded.asyncify.mjs', asyncifyGlue],
    wasm: ['ort-wasm-simd-threaded.asyncify.wasm', asyncifyWasm],
  },
  plain: {
    script: ['ort.wasm.min.mjs', plainScript],
    glue: ['ort-wasm-simd-threaded.mjs', plainGlue],
    wasm: ['ort-wasm-simd-threaded.wasm', plainWasm],
  },
};

let loaded: { name: BuildName; ort: Promise<Ort> } | undefined;

/**
 * Loads the build of onnxruntime-web that suits the device, once for this worker.
 *
 * @param folder URL of the folder with the `.mjs` and `.wasm` files, with its final `/`; default: beside the worker
 * @param threads for what runs on the CPU
 * @throws NearsightError `load_failed` if the script cannot be fetched
 */
export function loadOrt(device: Device, folder?: string, threads = 1): Promise<Ort> {
  const name = device === 'wasm' ? 'plain' : suspendsNatively() ? 'jspi' : 'asyncify';
  if (loaded?.name === name) return loaded.ort;
  const { script, glue, wasm } = BUILDS[name];
  const locate = ([file, url]: [string, string]): string => new URL(folder ? folder + file : url, import.meta.url).href;
  const files = { mjs: locate(glue), wasm: locate(wasm) };
  const ort = configure(locate(script), files, threads).catch((cause: unknown) => {
    loaded = undefined;
    const message = `onnxruntime-web could not be fetched from ${locate(script)}: put its files there, or say where they are in assets.ort.`;
    throw new NearsightError('load_failed', message, { cause });
  });
  loaded = { name, ort };
  return ort;
}

/**
 * Threads that a model on a device should use, at most `maxPositions`. On wasm memory is shared with them only if the page is
 * cross-origin isolated; on a GPU there is nothing for them to do.
 */
export function threadsFor(device: Device, most = Infinity): number {
  if (device === 'webgpu' || !globalThis.crossOriginIsolated) return 1;
  // Up to four cores are taken as they come; above that, half of them are usually hyperthreads or slow cores.
  const cores = navigator.hardwareConcurrency;
  return Math.min(most, cores <= 4 ? cores : Math.min(8, Math.ceil(cores / 2)));
}

async function configure(script: string, files: { mjs: string; wasm: string }, threads: number): Promise<Ort> {
  // Out of the bundlers' sight: most of them cannot split a worker into chunks, and all can copy files.
  const ort: Ort = await import(/* @vite-ignore */ /* webpackIgnore: true */ script);
  ort.env.logLevel = 'error';
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.wasmPaths = files;
  return ort;
}

/**
 * True in Chromium with JavaScript Promise Integration.
 *
 * Decided by the browser's family, because a run of glimpse's decoder on WebGPU takes half the time with it in Chromium
 * 156 (7.8 against 15.4 ms on a busy machine); in Firefox 153, which has `WebAssembly.Suspending` as well, it is no
 * faster (5.5 and 4.6 against 4.1 and 5.0 ms), and the engine's support is young.
 */
function suspendsNatively(): boolean {
  // Chromium alone describes itself with `userAgentData`.
  return 'Suspending' in WebAssembly && 'userAgentData' in navigator;
}
