// The house check is only worth its time if it can fail.
import { expect, test } from 'vitest';
import { forbiddenArrows } from '../../tools/check/arrows.mjs';
import { houseCeiling, tooLong } from '../../tools/check/ceilings.mjs';
import { importsOf } from '../../tools/check/sources.mjs';

const source = (path: string, text: string) => ({ path, text, lines: text.split('\n').length - 1 });

test.each([
  ['the page, the runtime', 'src/nearsight.ts', "import { Queue } from '../worker/queue.ts';"],
  [
    'the page, its worker outside the engine',
    'src/shim.ts',
    "new Worker(new URL('../worker/index.ts', import.meta.url));",
  ],
  ['the page, onnxruntime', 'src/model.ts', "const ort = await import('onnxruntime-web/webgpu');"],
  ['the wire, the page', 'src/wire/port.ts', "export * from '../abort.ts';"],
  ['the api, the page', 'src/api/parse.ts', "import type { Session } from '../session.ts';"],
  ['the runtime, the page', 'worker/runtime.ts', "type Status = import('../src/status.ts').Status;"],
  [
    'the decoder, onnxruntime past its door',
    'worker/decode/decoder.ts',
    "import type { Tensor } from 'onnxruntime-web';",
  ],
  ['the store, the tokenizer', 'worker/store/store.ts', "import { Tokenizer } from '@huggingface/tokenizers';"],
  ['models, the runtime', 'models/mine.ts', "import { family } from '../worker/vlm/family.ts';"],
  ['the demo, the inside of the package', 'demo/main.ts', "import { Engine } from '../src/start-engine.ts';"],
  ['the demo, a tool', 'demo/main.ts', "import { serve } from '../tools/serve.mjs';"],
  ['the bench, the inside of the package', 'bench/x.mjs', "import { openModel } from '../worker/decode/model.ts';"],
  [
    'a browser test, the inside of the package',
    'test/browser/x.test.ts',
    "import { route } from '../../src/route.ts';",
  ],
])('%s: no such arrow', (_, path, text) => {
  expect(forbiddenArrows([source(path, text)])).toHaveLength(1);
});

test.each([
  ['src/start-engine.ts', "new Worker(new URL('../worker/index.ts', import.meta.url));"],
  ['src/nearsight.ts', "import type { Part } from './wire/job.ts'; import { parse } from './api/parse.ts';"],
  ['worker/onnx/ort.ts', "import glue from 'onnxruntime-web/ort.jspi.min.mjs?url';"],
  ['worker/decode/decoder.ts', "import { loadOrt } from '../onnx/ort.ts';"],
  ['demo/main.ts', "import { glimpse } from 'nearsight/glimpse';"],
  ['bench/x.mjs', "import { createNearsight } from 'nearsight'; import { create } from 'webgpu';"],
  ['test/node/x.test.ts', "import { Queue } from '../../worker/queue.ts';"],
])('%s may: %s', (path, text) => {
  expect(forbiddenArrows([source(path, text)])).toEqual([]);
});

test('imports of all kinds are seen, and what is loaded later can be told apart', () => {
  const text = `import a from './a.ts'; export { b } from '../b.ts?url'; await import('c'); type D = import('./d.ts').D;`;
  expect(importsOf(source('src/api/x.ts', text))).toEqual(['src/api/a.ts', 'src/b.ts', 'c', 'src/api/d.ts']);
  expect(importsOf(source('src/api/x.ts', text), { staticOnly: true })).toEqual(['src/api/a.ts', 'src/b.ts']);
});

test('a long file needs a written reason', () => {
  const body = 'let line;\n'.repeat(301);
  expect(tooLong([source('src/x.ts', body)])).toHaveLength(1);
  expect(tooLong([source('src/x.ts', `// size:\n${body}`)])).toHaveLength(1);
  expect(tooLong([source('src/x.ts', `// size: one table\n${body}`)])).toEqual([]);
  expect(tooLong([source('src/x.ts', 'let line;\n'.repeat(300))])).toEqual([]);
});

test('the shipped rooms have a ceiling together', () => {
  const files = (folder: string, lines: number) =>
    tooLong(Array.from({ length: lines / 50 }, (_, i) => source(`${folder}/${i}.ts`, 'let line;\n'.repeat(50))));
  const over = houseCeiling + 100;
  expect(files('worker', houseCeiling)).toEqual([]);
  expect(files('worker', over)).toEqual([expect.stringContaining(`${over} lines together`)]);
  expect(files('test', over)).toEqual([]);
});
