import asyncifyGlue from 'onnxruntime-web/ort-wasm-simd-threaded.asyncify.mjs?url';
import asyncifyWasm from 'onnxruntime-web/ort-wasm-simd-threaded.asyncify.wasm?url';
import jspiGlue from 'onnxruntime-web/ort-wasm-simd-threaded.jspi.mjs?url';
import jspiWasm from 'onnxruntime-web/ort-wasm-simd-threaded.jspi.wasm?url';
import plainGlue from 'onnxruntime-web/ort-wasm-simd-threaded.mjs?url';
import plainWasm from 'onnxruntime-web/ort-wasm-simd-threaded.wasm?url';
import { NearsightError } from '../../src/wire/error.ts';
import type { Device } from '../../src/wire/spec.ts';

/** The API of onnxruntime-web. Each build brings its own classes, so they are passed on, never imported. */
export type Ort = typeof import('onnxruntime-web');
export type { InferenceSession, Tensor } from 'onnxruntime-web';

interface Build {
  load(): Promise<Ort>;
  glue: string;
  wasm: string;
  /** The name under which onnxruntime-web publishes both files. */
  file: string;
}

/** Which way of suspending wasm while JavaScript waits: `jspi` by the engine, `asyncify` by rewritten code. */
type BuildName = 'jspi' | 'asyncify' | 'plain';

const BUILDS: Record<BuildName, Build> = {
  jspi: {
    load: () => import('onnxruntime-web/jspi'),
    glue: jspiGlue,
    wasm: jspiWasm,
    file: 'ort-wasm-simd-threaded.jspi',
  },
  asyncify: {
    load: () => import('onnxruntime-web/webgpu'),
    glue: asyncifyGlue,
    wasm: asyncifyWasm,
    file: 'ort-wasm-simd-threaded.asyncify',
  },
  plain: {
    load: () => import('onnxruntime-web/wasm'),
    glue: plainGlue,
    wasm: plainWasm,
    file: 'ort-wasm-simd-threaded',
  },
};

let loaded: { name: BuildName; ort: Promise<Ort> } | undefined;

/**
 * Loads the build of onnxruntime-web that suits the device, once for this worker.
 *
 * @param folder URL of the folder with the `.mjs` and `.wasm` files, with its final `/`; default: beside the worker
 * @throws NearsightError `load_failed` if the script cannot be fetched
 */
export function loadOrt(device: Device, folder?: string): Promise<Ort> {
  const name = device === 'wasm' ? 'plain' : suspendsNatively() ? 'jspi' : 'asyncify';
  if (loaded?.name === name) return loaded.ort;
  const ort = configure(BUILDS[name], folder).catch((cause: unknown) => {
    loaded = undefined;
    throw new NearsightError('load_failed', `The ${name} build of onnxruntime-web could not be fetched.`, { cause });
  });
  loaded = { name, ort };
  return ort;
}

/** Threads that wasm may use: memory is shared with them only if the page is cross-origin isolated. */
export function wasmThreads(): number {
  if (!globalThis.crossOriginIsolated) return 1;
  // Up to four cores are taken as they come; above that, half of them are usually hyperthreads or slow cores.
  const cores = navigator.hardwareConcurrency;
  return cores <= 4 ? cores : Math.min(8, Math.ceil(cores / 2));
}

async function configure(build: Build, folder: string | undefined): Promise<Ort> {
  const ort = await build.load();
  ort.env.logLevel = 'error';
  ort.env.wasm.numThreads = wasmThreads();
  ort.env.wasm.wasmPaths = folder
    ? { mjs: `${folder}${build.file}.mjs`, wasm: `${folder}${build.file}.wasm` }
    : { mjs: absolute(build.glue), wasm: absolute(build.wasm) };
  return ort;
}

/** A bundler may leave URLs relative to the worker; onnxruntime-web wants them whole. */
function absolute(url: string): string {
  return new URL(url, import.meta.url).href;
}

/**
 * True in Chromium with JavaScript Promise Integration.
 *
 * This is the one place where a browser family decides. Firefox has `WebAssembly.Suspending` as well, but …
 */
function suspendsNatively(): boolean {
  // Chromium alone describes itself with `userAgentData`.
  return 'Suspending' in WebAssembly && 'userAgentData' in navigator;
}
