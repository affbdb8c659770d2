import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { gzipBytes } from '../../../tools/check/budgets.mjs';
import { glimpse } from '../../../models/glimpse.ts';
import { smolvlm256m } from '../../../models/smolvlm-256m.ts';
import type { ModelSpec } from '../../../src/protocol/model-spec.ts';

// Compares README and docs with the tree and with the built package, which must be there.

const readme = readFileSync('README.md', 'utf8');

const docs = readdirSync('docs').filter((name) => name.endsWith('.md'));
const pages = ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md', ...docs.map((name) => `docs/${name}`)];

test.each(pages)('%s: every link leads to a file or a heading, and every path in it exists', (page) => {
  const text = readFileSync(page, 'utf8');
  const broken = Array.from(
    text.matchAll(/\]\((?!https?:)([^)#]*)#?([^)]*)\)/g),
    ([link, target = '', heading = '']) => {
      const path = target ? join(dirname(page), target) : page;
      const found = existsSync(path) && (heading === '' || headingsOf(path).includes(heading));
      return found ? [] : [link];
    },
  );
  // Paths from the root, in code spans; not those with a wildcard.
  const paths = text.matchAll(/`((?:src|worker|models|proxy|test|tools|bench|demo|docs|training)\/[\w./-]*)`/g);
  const missing = Array.from(paths, ([, path = '']) => path).filter((path) => !existsSync(path));
  expect([...broken.flat(), ...missing]).toEqual([]);
});

/** The anchors of a page, as GitHub makes them. */
function headingsOf(path: string): string[] {
  return Array.from(readFileSync(path, 'utf8').matchAll(/^#+ (.+)$/gm), ([, title = '']) =>
    title
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  );
}

test.each([
  ['README.md', 215],
  ['CONTRIBUTING.md', 120],
  ['docs/roadmap.md', 40],
])('%s has at most %i lines', (page, lines) => {
  expect(readFileSync(page, 'utf8').trimEnd().split('\n').length).toBeLessThanOrEqual(lines);
});

test('docs/architecture.md tells the life of a request in at most 80 lines', () => {
  const [, life = ''] = readFileSync('docs/architecture.md', 'utf8').split('## The life of a request');
  expect(life.trim().split('\n').length).toBeLessThanOrEqual(80);
});

test('the quick start has at most thirteen lines', () => {
  const [, quickStart = ''] = /```ts\n([\s\S]*?)```/.exec(readme) ?? [];
  expect(quickStart.trim().split('\n').length).toBeLessThanOrEqual(13);
});

/** What the blocks use without declaring it. */
const GIVEN = `
declare const nearsight: import('nearsight').Nearsight;
declare function hasSession(cookie: string | null): boolean;
`;

test('each block of code in README and docs/remote.md compiles against the built package', () => {
  // Inside the repository, so that `nearsight` and `openai` are found as in a project that has them.
  const folder = '.cache/readme';
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${folder}/given.d.ts`, GIVEN);
  for (const page of ['README.md', 'docs/remote.md']) {
    const blocks = [...readFileSync(page, 'utf8').matchAll(/```(tsx?)\n([\s\S]*?)```/g)];
    expect(blocks.length, page).toBeGreaterThan(1);
    const name = page.replaceAll(/\W/g, '-');
    for (const [i, [, type, code = '']] of blocks.entries()) writeFileSync(`${folder}/${name}-${i + 1}.${type}`, code);
  }
  const config = {
    extends: '../../src/tsconfig.json',
    // A reader may leave a variable unused, and each block is a module.
    compilerOptions: { noEmit: true, jsx: 'react-jsx', moduleDetection: 'force', noUnusedLocals: false },
    include: ['.'],
  };
  writeFileSync(`${folder}/tsconfig.json`, JSON.stringify(config));
  const { stdout, status } = spawnSync('node_modules/.bin/tsc', ['-p', folder], { encoding: 'utf8' });
  expect(stdout).toBe('');
  expect(status).toBe(0);
});

test('the sizes in README are those of what is built, to a twentieth', () => {
  const gzipped = (file: string): number => gzipSync(readFileSync(file)).byteLength;
  const actual: Record<string, number[]> = {
    'the worker': [gzipped('dist/worker.js')],
    'transformers.js': [gzipped('dist/transformers.js')],
    'the grammar': [gzipped('dist/grammar.js')],
  };
  const builds = { 'WebGPU in Chromium': '.jspi', 'WebGPU elsewhere': '.asyncify', 'wasm on the CPU': '' };
  for (const [use, build] of Object.entries(builds)) {
    const file = `dist/ort/ort-wasm-simd-threaded${build}.wasm`;
    actual[`ONNX Runtime, for ${use}`] = [statSync(file).size, gzipped(file)];
  }
  actual['`smolvlm-256m`'] = variantBytes(smolvlm256m);
  actual['`glimpse`, the toy'] = variantBytes(glimpse).slice(0, 1); // README gives one size: the first variant's
  for (const [what, bytes] of Object.entries(actual)) {
    const told = sizesOf(what);
    expect(told.length, what).toBe(bytes.length);
    for (const [i, each] of bytes.entries()) expect((told[i] ?? 0) / each, what).toBeCloseTo(1, 1);
  }
});

test("README's limits on the sizes of page and worker are those that the house check holds", () => {
  expect(sizesOf("the page's module")).toEqual([gzipBytes.page]);
  expect(sizesOf('the code that answers requests')).toEqual([gzipBytes.answer]);
  expect(sizesOf('the worker')).toEqual([gzipBytes.worker]);
});

/** The bytes that README's table gives for something, in order. */
function sizesOf(what: string): number[] {
  const row = readme.split('\n').find((line) => line.startsWith(`| ${what} `)) ?? '';
  return Array.from(
    row.matchAll(/([\d.]+) (kB|MB)/g),
    ([, number, unit]) => Number(number) * (unit === 'kB' ? 1e3 : 1e6),
  );
}

/** What is fetched of a model, for each of its variants, the preferred one first. */
function variantBytes({ files, variants }: ModelSpec): number[] {
  return variants.map((variant) => bytesIn(files) + bytesIn(variant));
}

/** The bytes of all files that a part of a spec names. */
function bytesIn(part: unknown): number {
  if (typeof part !== 'object' || part === null) return 0;
  if ('bytes' in part) return Number(part.bytes);
  return Object.values(part).reduce((sum: number, each) => sum + bytesIn(each), 0);
}
