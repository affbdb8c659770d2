/**
 * What each part may weigh. A change that raises a number says in its commit what it buys.
 */

/**
 * Most code lines (neither blank nor comment) of each shipped room. `node tools/check.mjs --lines` prints what they have.
 *
 * @type {Record<string, number>}
 */
export const codeLines = {
  'src/index.ts': 12,
  'src/client/': 463,
  'src/fetch/': 453,
  'src/openai/': 1523,
  'src/remote/': 734,
  'src/media/': 181,
  'src/host/': 425,
  'src/protocol/': 447,
  'src/async/': 108,
  'src/bytes/': 269,
  'worker/*': 200,
  'worker/engines/*': 46,
  'worker/engines/common/': 486,
  'worker/engines/onnx/': 367,
  'worker/engines/transformers/': 1347,
  'worker/generation/': 1413,
  'worker/backend/': 165,
  'worker/webgpu/': 1568,
  'worker/wasm/': 272,
  'worker/self-test/': 311,
  'worker/families/': 1453,
  'worker/vision/': 840,
  'worker/sampling/': 428,
  'worker/grammar/': 3022,
  'worker/onnx/': 2627,
  'worker/storage/': 1007,
  'src/storage/': 704,
  'worker/hub/': 513,
  'models/': 383,
  'bin/': 55,
  'proxy/': 326,
};

/** Most code lines of all shipped rooms together. */
export const codeLinesTogether = 22147;

/**
 * Most bytes, gzipped, of what a page fetches: `page` is dist/index.js with its static imports; `answer` is what the first
 * chat request imports besides; `worker` is dist/worker.js. README names these numbers.
 */
export const gzipBytes = { page: 15_900, answer: 14_700, worker: 88_200 };

/**
 * Chunks that the entry imports dynamically and that a chat request does not need, by name without hash.
 *
 * @type {readonly string[]}
 */
export const laterChunks = [];
