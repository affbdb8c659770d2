import { readdirSync, readFileSync } from 'node:fs';
import { join, posix, sep } from 'node:path';
import { parseSync } from 'vite';

/**
 * One of our own files, as the checks see it.
 *
 * @typedef {object} Source
 * @property {string} path from the repository's root, with `/`
 * @property {string} text
 * @property {number} lines
 */

/** Folders that hold no source of ours, or (fixtures) text that is data. */
const skipped = new Set(['node_modules', 'dist', '.cache', 'fixtures', 'results']);
const extensions = ['.ts', '.mjs', '.wgsl', '.css', '.html'];

/**
 * All files of a room, in order.
 *
 * @param {string} folder
 * @returns {Source[]}
 */
export function sourcesIn(folder) {
  return readdirSync(folder, { withFileTypes: true })
    .filter(({ name }) => !skipped.has(name))
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return sourcesIn(path);
      if (!extensions.some((extension) => path.endsWith(extension))) return [];
      const text = readFileSync(path, 'utf8');
      return [{ path: path.split(sep).join('/'), text, lines: text.split('\n').length - 1 }];
    })
    .sort((one, other) => (one.path < other.path ? -1 : 1));
}

/** In types, where the parser does not report it. */
const typeImport = /\bimport\(\s*'([^']+)'\s*\)/g;
/** As bundlers know workers. */
const scriptURL = /new URL\(\s*'([^']+\.m?[jt]s)',\s*import\.meta\.url/g;

/**
 * What a module names: in `import … from`, `export … from`, `import(…)` and `new URL(…, import.meta.url)`. Relative
 * ones as paths from the repository's root, without the bundler's query.
 *
 * @param {Source} source
 * @param {{ staticOnly?: boolean }} [options] leave out what is loaded later
 * @returns {string[]}
 */
export function importsOf({ path, text }, { staticOnly = false } = {}) {
  const { module, errors } = parseSync(path, text);
  if (errors.length > 0) throw new Error(`${path}: ${errors[0]?.message}`);
  const loadedNow = [
    ...module.staticImports.map(({ moduleRequest }) => moduleRequest.value),
    ...module.staticExports.flatMap(({ entries }) => entries.map(({ moduleRequest }) => moduleRequest?.value)),
  ];
  const loadedLater = [
    ...module.dynamicImports.map(({ moduleRequest: { start, end } }) => literal(text.slice(start, end))),
    ...Array.from(text.matchAll(typeImport), ([, name]) => name),
    ...Array.from(text.matchAll(scriptURL), ([, name]) => name && (name.startsWith('.') ? name : `./${name}`)),
  ];
  const named = staticOnly ? loadedNow : [...loadedNow, ...loadedLater];
  const names = named.filter((name) => name !== undefined).map((name) => name.replace(/\?.*$/, ''));
  return [...new Set(names.map((name) => (name.startsWith('.') ? posix.join(posix.dirname(path), name) : name)))];
}

/** @param {string} expression */
function literal(expression) {
  return /^['"`]([^'"`$]*)['"`]$/.exec(expression)?.[1];
}
