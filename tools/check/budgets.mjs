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
  'src/client/': 432,
  'src/fetch/': 435,
  'src/openai/': 887,
  'src/remote/': 559,
  'src/media/': 172,
  'src/host/': 414,
  'src/protocol/': 370,
  'src/async/': 84,
  'src/bytes/': 295,
  'worker/*': 189,
  'worker/engines/*': 45,
  'worker/engines/onnx/': 769,
  'worker/generation/': 1108,
  'worker/backend/': 124,
  'worker/webgpu/': 1425,
  'worker/wasm/': 268,
  'worker/self-test/': 281,
  'worker/families/': 600,
  'worker/vision/': 741,
  'worker/sampling/': 300,
  'worker/onnx/': 2294,
  'worker/storage/': 979,
  'src/storage/': 653,
  'worker/hub/': 479,
  'models/': 146,
  'bin/': 54,
  'proxy/': 257,
};

/** Most code lines of all shipped rooms together. */
export const codeLinesTogether = 14339;

/**
 * Most bytes, gzipped, of what a page fetches: `page` is dist/index.js with its static imports; `answer` is what the first
 * chat request imports besides; `worker` is dist/worker.js. README names these numbers.
 */
export const gzipBytes = { page: 15_400, answer: 10_300, worker: 82_000 };

/**
 * Chunks that the entry imports dynamically and that a chat request does not need, by name without hash.
 *
 * @type {readonly string[]}
 */
export const laterChunks = [];
