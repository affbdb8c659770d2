import { readdirSync, readFileSync } from 'node:fs';
import { join, posix, sep } from 'node:path';
import { parseSync, Visitor } from 'vite';

/**
 * One of our own files, as the checks see it.
 *
 * @typedef {object} Source
 * @property {string} path from the repository's root, with `/`
 * @property {string} text
 * @property {number} lines
 */

/**
 * Something that a module names: a file (a path from the repository's root) or a package (with a path in it). `static`
 * and `type` are `import … from` and `export … from`; `type` is also `import('…')` where a type stands; `dynamic` is
 * `import('…')` that runs, `url` is `new URL('…', import.meta.url)`.
 *
 * @typedef {object} Import
 * @property {string} target without the bundler's query (`?url`, `?raw`)
 * @property {'static' | 'type' | 'dynamic' | 'url'} kind
 * @property {boolean} file whether the target is one of our files
 */

/** Folders that hold no source of ours, or (fixtures) text that is data. */
const skipped = new Set(['node_modules', 'dist', '.cache', 'fixtures', 'results']);
export const isModule = /\.[cm]?[jt]sx?$/;
const isText = /\.(wgsl|css|html)$/;

/**
 * All files of a folder, in order.
 *
 * @param {string} folder from the root
 * @param {string} [root] of the repository
 * @returns {Source[]}
 */
export function sourcesIn(folder, root = '.') {
  return readdirSync(join(root, folder), { withFileTypes: true })
    .filter(({ name }) => !skipped.has(name))
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return sourcesIn(path, root);
      if (!isModule.test(path) && !isText.test(path)) return [];
      const text = readFileSync(join(root, path), 'utf8');
      return [{ path: path.split(sep).join('/'), text, lines: text.split('\n').length - 1 }];
    })
    .sort((one, other) => (one.path < other.path ? -1 : 1));
}

/**
 * @param {Pick<Source, 'path' | 'text'>} source
 * @throws if it does not parse
 */
export function parse({ path, text }) {
  const parsed = parseSync(path, text);
  if (parsed.errors.length > 0) throw new Error(`${path}: ${parsed.errors[0]?.message}`);
  return parsed;
}

/** In the comments of JavaScript, where types are written. */
const documentedType = /\bimport\(\s*['"]([^'"]+)['"]\s*\)/g;

/**
 * @param {Pick<Source, 'path' | 'text'>} source
 * @returns {Import[]} each target once per kind; none for what is not a module
 */
export function importsOf(source) {
  const { path } = source;
  if (!isModule.test(path)) return [];
  const { program, comments } = parse(source);
  /** @type {Map<string, Import>} */
  const found = new Map();
  /** @type {(name: string | undefined, kind: Import['kind']) => void} */
  const add = (name, kind) => {
    if (name === undefined || /^(https?|data|blob):|^\//.test(name)) return;
    const bare = name.replace(/\?.*$/, '');
    const file = bare.startsWith('.') || kind === 'url';
    const joined = file ? posix.join(posix.dirname(path), bare) : bare;
    const target = joined === '.' ? './' : joined;
    found.set(`${kind} ${target}`, { target, kind, file });
  };
  visit(program, add);
  if (/\.[cm]?jsx?$/.test(path))
    for (const { value } of comments) for (const [, name] of value.matchAll(documentedType)) add(name, 'type');
  return [...found.values()];
}

/**
 * @param {import('vite').ESTree.Program} program
 * @param {(name: string | undefined, kind: Import['kind']) => void} add
 */
function visit(program, add) {
  new Visitor({
    ImportDeclaration({ source, importKind, specifiers }) {
      const kinds = specifiers.map((each) => ('importKind' in each ? each.importKind : 'value'));
      add(source.value, isTypeOnly(importKind, kinds) ? 'type' : 'static');
    },
    ExportNamedDeclaration({ source, exportKind, specifiers }) {
      const kinds = specifiers.map((each) => each.exportKind);
      add(source?.value, isTypeOnly(exportKind, kinds) ? 'type' : 'static');
    },
    ExportAllDeclaration({ source, exportKind }) {
      add(source.value, exportKind === 'type' ? 'type' : 'static');
    },
    ImportExpression({ source }) {
      add(textOf(source), 'dynamic');
    },
    TSImportType({ source }) {
      add(source.value, 'type');
    },
    NewExpression({ callee, arguments: [name, base] }) {
      if (callee.type !== 'Identifier' || callee.name !== 'URL' || base?.type !== 'MemberExpression') return;
      if (base.object.type === 'MetaProperty' && name) add(textOf(name), 'url');
    },
  }).visit(program);
}

/**
 * @param {string | undefined} ofStatement
 * @param {readonly (string | undefined)[]} ofNames
 */
function isTypeOnly(ofStatement, ofNames) {
  return ofStatement === 'type' || (ofNames.length > 0 && ofNames.every((kind) => kind === 'type'));
}

/**
 * @param {import('vite').ESTree.Argument} node
 * @returns {string | undefined} the string that it is, if it is written out
 */
function textOf(node) {
  if (node.type === 'Literal') return typeof node.value === 'string' ? node.value : undefined;
  if (node.type !== 'TemplateLiteral' || node.quasis.length !== 1) return undefined;
  return node.quasis[0]?.value.cooked ?? undefined;
}
