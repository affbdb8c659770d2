/**
 * What each part may weigh. A change that raises a number says in its commit what it buys.
 */

/**
 * Most code lines (neither blank nor comment) of each shipped room. `node tools/check.mjs --lines` prints what they have.
 *
 * @type {Record<string, number>}
 */
export const codeLines = {
  'src/index.ts': 13,
  'src/client/': 360,
  'src/fetch/': 386,
  'src/openai/': 863,
  'src/remote/': 562,
  'src/media/': 139,
  'src/host/': 345,
  'src/protocol/': 299,
  'src/async/': 30,
  'src/bytes/': 90,
  'worker/*': 97,
  'worker/engines/*': 36,
  'worker/engines/onnx/': 642,
  'worker/generation/': 896,
  'worker/backend/': 106,
  'worker/webgpu/': 1498,
  'worker/wasm/': 113,
  'worker/self-test/': 238,
  'worker/families/': 404,
  'worker/vision/': 539,
  'worker/sampling/': 306,
  'worker/onnx/': 1859,
  'worker/storage/': 134,
  'models/': 95,
  'proxy/': 268,
};

/** Most code lines of all shipped rooms together. */
export const codeLinesTogether = 10_318;

/**
 * Most bytes, gzipped, of what a page fetches: `page` is dist/index.js with its static imports; `answer` is what the first
 * chat request imports besides; `worker` is dist/worker.js. README names these numbers.
 */
export const gzipBytes = { page: 13_500, answer: 10_000, worker: 71_720 };

/**
 * Chunks that the entry imports dynamically and that a chat request does not need, by name without hash.
 *
 * @type {readonly string[]}
 */
export const laterChunks = [];
