import { existsSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { gzipSync } from 'node:zlib';
import { importsOf } from './sources.mjs';

/**
 * Most bytes, gzipped, of a built file with all that it imports statically. README names these numbers.
 *
 * @type {Record<string, number>}
 */
const budgets = {
  'dist/index.js': 13_500,
};

/**
 * @param {string} path
 * @param {Set<string>} [seen]
 * @returns {Set<string>} the file and what it reaches by `import … from`
 */
function closure(path, seen = new Set()) {
  if (seen.has(path)) return seen;
  seen.add(path);
  const text = readFileSync(path, 'utf8');
  for (const target of importsOf({ path, text, lines: 0 }, { staticOnly: true }))
    closure(posix.normalize(target), seen);
  return seen;
}

/**
 * @param {string} path
 * @returns {number}
 */
export function gzipBytes(path) {
  const files = [...closure(path)].map((file) => gzipSync(readFileSync(file)).byteLength);
  return files.reduce((sum, bytes) => sum + bytes, 0);
}

/** @returns {string[]} */
export function overBudget() {
  return Object.entries(budgets).flatMap(([path, most]) => {
    if (!existsSync(path)) return [`${path} is not built: run \`npm run build\` first`];
    const bytes = gzipBytes(path);
    console.log(`${path}: ${bytes} bytes gzipped, of ${most}`);
    return bytes > most ? [`${path} has ${bytes} bytes gzipped with its static imports, over ${most}`] : [];
  });
}
