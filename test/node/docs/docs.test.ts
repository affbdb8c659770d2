import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { glimpse } from '../../../models/glimpse.ts';
import { smolvlm256m } from '../../../models/smolvlm-256m.ts';
import type { ModelSpec } from '../../../src/protocol/model-spec.ts';

// What README and docs say, held against what is there. Needs the built package.

const readme = readFileSync('README.md', 'utf8');

test('every link to a file leads to one', () => {
  const names = readdirSync('docs').filter((name) => name.endsWith('.md'));
  const pages = ['README.md', ...names.map((name) => `docs/${name}`)];
  const broken = pages.flatMap((page) => {
    const targets = readFileSync(page, 'utf8').matchAll(/\]\((?!https?:|#)([^)#]+)/g);
    return Array.from(targets, ([, target = '']) => join(dirname(page), target)).filter((path) => !existsSync(path));
  });
  expect(broken).toEqual([]);
});

test('the code in README compiles against the built package, in about twelve lines', () => {
  const [, code = ''] = /```ts\n([\s\S]*?)```/.exec(readme) ?? [];
  expect(code.trim().split('\n').length).toBeLessThanOrEqual(13);
  // Inside the repository, so that `nearsight` and `openai` are found as in a project that has them.
  const folder = '.cache/readme';
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${folder}/readme.ts`, code);
  const config = { extends: '../../../src/tsconfig.json', compilerOptions: { noEmit: true }, include: ['readme.ts'] };
  writeFileSync(`${folder}/tsconfig.json`, JSON.stringify(config));
  const { stdout, status } = spawnSync('node_modules/.bin/tsc', ['-p', folder], { encoding: 'utf8' });
  expect(stdout).toBe('');
  expect(status).toBe(0);
});

test('the sizes in README are those of what is built, to a twentieth', () => {
  const gzipped = (file: string): number => gzipSync(readFileSync(file)).byteLength;
  const actual: Record<string, number[]> = { 'the worker': [gzipped('dist/worker.js')] };
  const builds = { 'WebGPU in Chromium': '.jspi', 'WebGPU elsewhere': '.asyncify', 'the processor': '' };
  for (const [use, build] of Object.entries(builds)) {
    const file = `dist/ort/ort-wasm-simd-threaded${build}.wasm`;
    actual[`ONNX Runtime, for ${use}`] = [statSync(file).size, gzipped(file)];
  }
  actual['`smolvlm-256m`'] = variantBytes(smolvlm256m);
  actual['`glimpse`'] = variantBytes(glimpse).slice(0, 1); // the only one that is ever taken
  for (const [what, bytes] of Object.entries(actual)) {
    const told = sizesOf(what);
    expect(told.length, what).toBe(bytes.length);
    for (const [i, each] of bytes.entries()) expect((told[i] ?? 0) / each, what).toBeCloseTo(1, 1);
  }
});

/** The bytes that README's table gives for something, in order. */
function sizesOf(what: string): number[] {
  const row = readme.split('\n').find((line) => line.startsWith(`| ${what}`)) ?? '';
  return Array.from(
    row.matchAll(/([\d.]+) (kB|MB)/g),
    ([, number, unit]) => Number(number) * (unit === 'kB' ? 1e3 : 1e6),
  );
}

/** What is fetched of a model, for each of its variants, the preferred one first. */
function variantBytes({ files, variants }: ModelSpec): number[] {
  const shared = files.reduce((sum, { bytes }) => sum + bytes, 0);
  return variants.map(({ graphs }) => {
    const read = Object.values(graphs).flatMap(({ file, data }) => [file, ...data]);
    return read.reduce((sum, { bytes }) => sum + bytes, shared);
  });
}
