import { importsOf } from './sources.mjs';

/** What the runtime's folders share. Packages come in through one door each: onnx/ and families/. */
const runtime = [
  'src/wire/',
  'models/',
  'worker/',
  'worker/backend/',
  'worker/gpu/',
  'worker/webgpu/',
  'worker/onnx/',
  'worker/families/',
  'worker/vision/',
];

/**
 * Who may import what: rooms (with `/`) and packages. A file belongs to the longest room that its path starts with, and
 * reaches its own room always. `packages` are all of them. What is not listed here (node tests, tools) reaches everything.
 *
 * @type {Record<string, readonly string[]>}
 */
const allowed = {
  'src/': ['src/wire/', 'src/api/', 'models/', 'comlink'],
  'src/api/': ['src/wire/'],
  'src/wire/': [],
  'worker/': [...runtime, 'comlink'],
  'worker/gpu/': runtime,
  'worker/onnx/': [...runtime, 'onnxruntime-web'],
  'worker/backend/': ['worker/onnx/'],
  'worker/families/': [
    'src/wire/',
    'worker/backend/',
    'worker/vision/',
    '@huggingface/jinja',
    '@huggingface/tokenizers',
  ],
  'worker/vision/': ['src/wire/', 'worker/', 'worker/backend/', 'worker/onnx/'],
  'worker/webgpu/': ['worker/backend/', 'worker/gpu/', 'worker/vision/'],
  'models/': ['src/wire/'],
  'proxy/': ['src/api/', 'src/wire/'],
  'demo/': ['nearsight', 'openai', 'eventsource-parser', 'vite', 'node:'],
  // The other sides: transformers.js, and a loop by hand on the same onnxruntime and Dawn.
  'bench/': ['nearsight', 'tools/', '@huggingface/transformers', 'onnxruntime-web', 'webgpu', 'vite', 'node:'],
  'test/browser/': ['packages', 'tools/', 'test/nim/'],
  // Drawing is compared with the CPU's over more kinds of logits than a model gives.
  'test/browser/sampler/': ['packages', 'tools/', 'test/browser/', 'worker/gpu/'],
  // How each browser decodes and scales images is compared pixel by pixel, which the public face does not show.
  'test/browser/vision/': [
    'packages',
    'tools/',
    'test/browser/',
    'worker/backend/',
    'worker/families/',
    'worker/vision/',
    'worker/gpu/',
    'worker/webgpu/',
    'src/wire/',
  ],
};

/** The one place where the page names the worker: its URL, not its code. */
const door = { from: 'src/host/start-engine.ts', to: 'worker/index.ts' };

/**
 * @param {string} target a path from the root, or a package's name with a path in it
 * @returns {string} the room or package that it belongs to
 */
function ownerOf(target) {
  const rooms = [...Object.keys(allowed), 'tools/'].filter((room) => target.startsWith(room));
  const room = rooms.sort((one, other) => other.length - one.length)[0];
  if (room) return room;
  if (target.startsWith('node:')) return 'node:';
  return target.split('/', target.startsWith('@') ? 2 : 1).join('/');
}

/**
 * @param {readonly import('./sources.mjs').Source[]} sources
 * @returns {string[]} one line for each arrow that is not in the table
 */
export function forbiddenArrows(sources) {
  return sources.flatMap((source) => {
    const room = ownerOf(source.path);
    const reachable = allowed[room];
    if (!reachable || !/\.(ts|mjs)$/.test(source.path)) return [];
    return importsOf(source)
      .filter((target) => ownerOf(target) !== room && !reachable.includes(ownerOf(target)))
      .filter((target) => !reachable.includes('packages') || ownerOf(target).endsWith('/'))
      .filter((target) => source.path !== door.from || target !== door.to)
      .map((target) => `${source.path} must not import ${target} (what ${room} may reach: tools/check/arrows.mjs)`);
  });
}
