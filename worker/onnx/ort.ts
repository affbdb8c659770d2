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
import { wakeThreads } from './wake-threads.ts';

/** The API of onnxruntime-web. Each build has its own classes, so they are passed as values, never imported. */
export type Ort = typeof import('onnxruntime-web');
export type { InferenceSession, Tensor } from 'onnxruntime-web';

/** A file of onnxruntime-web: its published name, and its URL in the package. */
type Asset = readonly [name: string, url: string];

/** How wasm waits for JavaScript: `jspi` by the browser's engine, `asyncify` by instrumented code; `plain` cannot. */
type BuildName = 'jspi' | 'asyncify' | 'plain';

const BUILDS: Record<BuildName, Record<'script' | 'glue' | 'wasm', Asset>> = {
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
 * Loads the build of onnxruntime-web for the device, once for this worker.
 *
 * @param folder URL of the folder with the `.mjs` and `.wasm` files, with a trailing `/`; default: beside the worker
 * @param threads for operators that run on the CPU
 * @throws NearsightError `load_failed` if the script cannot be fetched
 */
export function loadOrt(device: Device, folder?: string, threads = 1): Promise<Ort> {
  const name = device === 'wasm' ? 'plain' : suspendsNatively() ? 'jspi' : 'asyncify';
  if (loaded?.name === name) return loaded.ort;
  const { script, glue, wasm } = BUILDS[name];
  const locate = ([file, url]: Asset): string => new URL(folder ? folder + file : url, import.meta.url).href;
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
  if (threads > 1) wakeThreads();
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
