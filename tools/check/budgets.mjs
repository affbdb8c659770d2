/**
 * What each part may weigh. A change that raises a number says in its commit what it buys.
 */

/**
 * Most code lines (neither blank nor comment) of each shipped room. `node tools/check.mjs --lines` prints what they have.
 *
 * @type {Record<string, number>}
 */
export const codeLines = {
  'src/index.ts': 11,
  'src/client/': 285,
  'src/fetch/': 384,
  'src/openai/': 858,
  'src/remote/': 559,
  'src/media/': 127,
  'src/host/': 324,
  'src/protocol/': 299,
  'src/async/': 30,
  'src/bytes/': 92,
  'worker/*': 97,
  'worker/engines/*': 34,
  'worker/engines/onnx/': 604,
  'worker/generation/': 842,
  'worker/backend/': 100,
  'worker/webgpu/': 1386,
  'worker/wasm/': 108,
  'worker/self-test/': 235,
  'worker/families/': 390,
  'worker/vision/': 531,
  'worker/sampling/': 300,
  'worker/onnx/': 1715,
  'worker/storage/': 107,
  'models/': 94,
  'proxy/': 249,
};

/** Most code lines of all shipped rooms together. */
export const codeLinesTogether = 9761;

/**
 * Most bytes, gzipped, of what a page fetches: `page` is dist/index.js with its static imports; `answer` is what the first
 * chat request imports besides; `worker` is dist/worker.js. README names these numbers.
 */
export const gzipBytes = { page: 13_500, answer: 10_000, worker: 71_000 };

/**
 * Chunks that the entry imports dynamically and that a chat request does not need, by name without hash.
 *
 * @type {readonly string[]}
 */
export const laterChunks = [];
