import { existsSync, readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { gzipBytes, laterChunks } from './budgets.mjs';
import { importsOf } from './sources.mjs';

/**
 * @param {string} path of a built file
 * @param {'static' | 'dynamic'} kind
 * @returns {string[]} the built files that it imports so
 */
function imported(path, kind) {
  const found = importsOf({ path, text: readFileSync(path, 'utf8') });
  return found.filter((each) => each.file && each.kind === kind).map(({ target }) => target);
}

/**
 * @param {readonly string[]} paths of built files
 * @returns {Set<string>} these, and what they import statically
 */
function closure(paths) {
  const all = new Set(paths);
  for (const path of all) for (const target of imported(path, 'static')) all.add(target);
  return all;
}

/** @param {Iterable<string>} paths */
function gzipped(paths) {
  return [...paths].reduce((sum, path) => sum + gzipSync(readFileSync(path)).byteLength, 0);
}

/**
 * What a page fetches, gzipped, in bytes: with the page; at the first chat request, besides that; for the worker.
 *
 * @param {string} [dist]
 * @returns {Record<keyof typeof gzipBytes, number>}
 */
export function measureSizes(dist = 'dist') {
  const page = closure([`${dist}/index.js`]);
  const later = [...page]
    .flatMap((path) => imported(path, 'dynamic'))
    .filter((path) => !laterChunks.some((name) => path.startsWith(`${dist}/chunks/${name}-`)));
  const answer = [...closure(later)].filter((path) => !page.has(path));
  return { page: gzipped(page), answer: gzipped(answer), worker: gzipped(closure([`${dist}/worker.js`])) };
}

/** @returns {string[]} */
export function overSizeBudget() {
  if (!existsSync('dist/index.js')) return ['the package is not built: run `npm run build` first'];
  const sizes = Object.entries(measureSizes());
  console.log(sizes.map(([what, bytes]) => `  ${what}: ${bytes} bytes gzipped`).join('\n'));
  return sizes.flatMap(([what, bytes]) => {
    const budget = Object.entries(gzipBytes).find(([name]) => name === what)?.[1] ?? 0;
    return bytes > budget ? [`${what} has ${bytes} bytes gzipped, over its budget of ${budget}`] : [];
  });
}
