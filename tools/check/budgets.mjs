/**
 * What each part may weigh. A change that raises a number says in its commit what it buys.
 */

/**
 * Most code lines (neither blank nor comment) of each shipped room. `node tools/check.mjs --lines` prints what they have.
 *
 * @type {Record<string, number>}
 */
export const codeLines = {};

/** Most code lines of all shipped rooms together. */
export const codeLinesTogether = 9_780;

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
