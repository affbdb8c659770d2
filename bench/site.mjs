/** The benchmark's server: the page, the models, transformers.js' ONNX Runtime, and the counters. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, extname, join, resolve } from 'node:path';
import { serveCounters } from '../tools/counters.mjs';
import { serve } from '../tools/serve.mjs';
import { standinFolder } from '../tools/standin.mjs';
import { ggufFolder } from './gguf/smolvlm.mjs';
import { fullFolder, tinyFolder } from './qwen/qwen-model.mjs';
import { timedOrt } from '../tools/counters/timed-ort.mjs';

/** Cross-origin isolation, so that wasm can use threads. */
const headers = {
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
};

/** The onnxruntime-web version that transformers.js pins, which may differ from ours. */
const transformersRequire = createRequire(createRequire(import.meta.url).resolve('@huggingface/transformers'));

const UNCAPTURED = '/uncaptured-ort/';

/** @type {Record<string, string>} */
const folders = {
  '/models/glimpse/': 'models/glimpse',
  '/models/standin/': standinFolder,
  '/models/gguf/': ggufFolder,
  '/models/qwen3.5-0.8b/': fullFolder,
  '/models/qwen3.5-tiny/': tinyFolder,
  '/wllama/': dirname(createRequire(import.meta.url).resolve('@wllama/wllama')),
  // The package's own copies once more, for a side whose steps are not captured.
  [UNCAPTURED]: 'dist/ort',
  '/ort/': dirname(createRequire(import.meta.url).resolve('onnxruntime-web/wasm')),
  '/transformers-ort/': dirname(transformersRequire.resolve('onnxruntime-web/webgpu')),
};

/** @param {string} pathname */
function fileAt(pathname) {
  const prefix = Object.keys(folders).find((path) => pathname.startsWith(path));
  const folder = prefix && folders[prefix];
  if (!folder) return undefined;
  const file = join(folder, pathname.slice(prefix.length));
  return existsSync(file) ? file : undefined;
}

/** @param {Request} request */
function answer(request) {
  const { pathname, search } = new URL(request.url);
  const script = { ...headers, 'content-type': 'text/javascript' };
  if (/\/ort\.(jspi|webgpu|wasm)\.min[^/]*\.mjs$/.test(pathname) && search !== '?real')
    return new Response(timedOrt(`${pathname}?real`, !pathname.startsWith(UNCAPTURED)), { headers: script });
  const file = fileAt(pathname);
  if (!file) return serveCounters(request);
  /** @type {Record<string, string>} */
  const types = {
    '.mjs': 'text/javascript',
    '.js': 'text/javascript',
    '.wasm': 'application/wasm',
    '.json': 'application/json',
  };
  const type = types[extname(file)] ?? 'application/octet-stream';
  return new Response(request.method === 'HEAD' ? null : readFileSync(file), {
    headers: { ...headers, 'content-type': type, 'content-length': String(statSync(file).size) },
  });
}

/**
 * Builds the bench page and serves it.
 *
 * @returns {Promise<import('../tools/serve.mjs').Server>}
 */
export async function openSite() {
  const { build } = await import('vite');
  const outDir = resolve('.cache/bench-page');
  await build({ configFile: 'bench/page/vite.config.ts', build: { outDir } });
  return serve(outDir, { headers, answer });
}
