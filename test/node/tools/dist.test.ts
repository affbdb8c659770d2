/** What foreign bundlers and minifiers need of the built package. Needs `node tools/build.mjs`. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseSync, Visitor, type ESTree } from 'vite';
import { expect, test } from 'vitest';

// Without that of transformers.js, most of which is not ours: like all files that are named by their URLs, it is copied as it is.
const scripts = ['dist', 'dist/chunks'].flatMap((folder) =>
  readdirSync(folder).flatMap((name) =>
    name.endsWith('.js') && name !== 'transformers.js' ? [join(folder, name)] : [],
  ),
);

interface Found {
  /** The arguments of `new URL(…, import.meta.url)`; null for one that is not written out. */
  urls: (string | null)[];
  metas: number;
  /** The source of each `import(…)` of an expression. */
  dynamic: string[];
  globals: string[];
}

function literal(node: ESTree.Argument | undefined): string | null {
  if (node?.type === 'Literal') return String(node.value);
  return node?.type === 'TemplateLiteral' && node.quasis.length === 1 ? (node.quasis[0]?.value.cooked ?? null) : null;
}

function read(script: string): Found {
  // hash-wasm looks for its global object, the right one first.
  const text = readFileSync(script, 'utf8').replace('typeof window<`u`?window:', '');
  const { program } = parseSync(script, text);
  const found: Found = { urls: [], metas: 0, dynamic: [], globals: [] };
  const names = new Set<object>();
  const identifiers: { name: string }[] = [];
  new Visitor({
    MetaProperty: ({ meta }) => void (meta.name === 'import' && found.metas++),
    MemberExpression: ({ property, computed }) => void (computed || names.add(property)),
    Property: ({ key, computed }) => void (computed || names.add(key)),
    Identifier: (node) => void identifiers.push(node),
    ImportExpression({ start, end, source }) {
      if (literal(source) === null) found.dynamic.push(text.slice(start, end));
    },
    NewExpression({ callee, arguments: [url, base] }) {
      if (callee.type !== 'Identifier' || callee.name !== 'URL' || base?.type !== 'MemberExpression') return;
      if (base.object.type === 'MetaProperty') found.urls.push(literal(url));
    },
  }).visit(program);
  const used = identifiers.filter((node) => !names.has(node) && /^(window|document)$/.test(node.name));
  found.globals = used.map(({ name }) => name);
  return found;
}

test.each(scripts)('%s survives other bundlers', (script) => {
  const { urls, metas, dynamic, globals } = read(script);
  // Webpack makes a context of an expression, and puts file: URLs in place of a bare import.meta.url.
  expect(urls).not.toContain(null);
  expect(metas).toBe(urls.length);
  for (const url of urls) {
    expect(url).toMatch(/^\.\//);
    expect(existsSync(join(dirname(script), url ?? ''))).toBe(true);
  }
  // Without these, webpack replaces the import by an error, and Vite's development server warns.
  for (const source of dynamic) {
    expect(source).toContain('/* @vite-ignore */');
    expect(source).toContain('/* webpackIgnore: true */');
  }
  // A worker has neither; the page side also runs in workers and on servers.
  expect(globals).toEqual([]);
});

test('the worker, the files of ONNX Runtime and those of glimpse are named', () => {
  const named = (script: string) => read(script).urls;
  expect(named('dist/index.js')).toEqual(['./worker.js']);
  expect(named('dist/worker.js')).toHaveLength(14);
  expect(named('dist/glimpse.js')).toHaveLength(13);
  expect(read('dist/worker.js').dynamic).toHaveLength(2);
});

test('the licence of each package whose code is in the built files comes with them', () => {
  const maps = readdirSync('dist', { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.js.map'));
  const inside = maps.flatMap((map): string[] => {
    const { sources }: { sources: string[] } = JSON.parse(readFileSync(join('dist', map), 'utf8'));
    return sources.flatMap((source) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(source)?.[1] ?? []);
  });
  const notices = readFileSync('dist/THIRD_PARTY_NOTICES.txt', 'utf8').split(`\n${'='.repeat(80)}\n\n`);
  const names = notices.slice(1).map((notice) => notice.split(' ', 1)[0]);
  expect(names).toEqual([...new Set([...inside, 'onnxruntime-web'])].toSorted());
  for (const notice of notices.slice(1)) expect(notice).toMatch(/Apache License|Permission is hereby granted/);
  // It has libraries of others compiled in.
  expect(notices.find((notice) => notice.startsWith('onnxruntime-web'))).toContain('protocolbuffers/protobuf');
  expect(readFileSync('dist/glimpse/README.md', 'utf8')).toContain('## Data and licences');
});
