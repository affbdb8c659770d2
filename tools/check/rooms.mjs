/** Folders that go into the package. Each of their files is in a room, and each of their rooms has a budget: budgets.mjs. */
const shipped = ['src/', 'worker/', 'models/', 'proxy/', 'bin/'];

/** Rooms that every shipped room may import, and that import none but each other: the contract, and helpers without any. */
export const leaves = ['src/protocol/', 'src/async/', 'src/bytes/'];

/** The page names the worker by its URL, in one place, and never imports its code. */
export const workerURL = { from: 'src/host/', to: 'worker/index.ts' };

/** What an implementation of worker/backend may import: of vision, the arithmetic that CPU and GPU share. */
const backend = [
  'worker/backend/',
  'worker/sampling/',
  'worker/onnx/',
  'types of worker/vision/',
  'worker/vision/resample.ts',
  'worker/vision/cpu-image-splitter.ts',
];

/**
 * Who may import whom, type imports and dynamic imports included: docs/architecture.md says why. A key is a room: a
 * folder with all that is in it (`a/`), the files directly in a folder (`a/*`), or one file. A file belongs to the longest
 * key that matches, and may import the files of its own room. A value lists what else it may import:
 *
 * - `a/`, `a/*`: another room;  `types of a/`: types only;  `a/b.ts`: one file of another room
 * - `comlink`: a package;  `packages`: any package;  `node:`: the modules of Node
 *
 * In the package, each dependency is imported by one room of the page and one of the worker at most. Node tests and
 * tools are not listed: they may import everything.
 *
 * @type {Record<string, readonly string[]>}
 */
export const rooms = {
  'src/index.ts': ['src/client/', 'src/fetch/', 'src/openai/', 'src/remote/', 'src/media/', 'src/host/', 'models/'],
  'src/client/': ['src/fetch/', 'src/openai/', 'src/remote/', 'src/media/', 'src/host/', 'models/'],
  'src/fetch/': ['src/openai/', 'src/remote/', 'src/media/', 'types of src/host/'],
  'src/openai/': [],
  'src/remote/': ['src/openai/'],
  'src/media/': [],
  'src/host/': ['comlink'],
  'src/protocol/': [],
  'src/async/': [],
  'src/bytes/': ['src/async/'],
  // The store's layout, and what pages do with it. The worker writes the same layout.
  'src/storage/': ['hash-wasm', 'modern-tar'],

  // The entry, the runtime and its queue. The registry in engines/ decides which engine opens a model.
  'worker/*': ['worker/engines/*', 'worker/storage/', 'comlink'],
  'worker/engines/*': ['worker/engines/onnx/', 'worker/engines/transformers/', 'types of worker/storage/'],
  // What every engine is made of: the choice of a device, the load, and answering with a model's parts.
  'worker/engines/common/': [
    'types of worker/engines/*',
    'worker/families/',
    'worker/vision/',
    'worker/generation/',
    'worker/sampling/',
    'worker/webgpu/',
    'worker/onnx/',
    'worker/storage/',
    'worker/grammar/',
    'worker/self-test/',
  ],
  'worker/engines/onnx/': [
    'types of worker/engines/*',
    'worker/engines/common/',
    'worker/families/',
    'worker/vision/',
    'worker/generation/',
    'worker/sampling/',
    'worker/backend/',
    'worker/webgpu/',
    'worker/wasm/',
    'worker/onnx/',
    'worker/self-test/',
  ],
  // What is in the chunk is given the rest by the engine: only code without a state may be in both.
  'worker/engines/transformers/': [
    'types of worker/engines/*',
    'worker/engines/common/',
    'worker/families/',
    'worker/vision/',
    'worker/generation/',
    'types of worker/sampling/',
    'worker/backend/',
    'worker/webgpu/',
    'worker/wasm/',
    'worker/onnx/',
    'worker/self-test/',
    '@huggingface/transformers',
  ],
  'worker/generation/': [
    'worker/backend/',
    'worker/sampling/',
    'types of worker/families/',
    'types of worker/vision/',
    'types of worker/onnx/',
    // Arithmetic about tensors, and the names and shapes of a decoder's inputs and outputs.
    'worker/onnx/tensor.ts',
    'worker/onnx/decoder-ports.ts',
    'worker/onnx/kv-layout.ts',
  ],
  // Interfaces only. webgpu/ and wasm/ implement them; generation/ imports neither.
  'worker/backend/': ['types of worker/onnx/', 'worker/onnx/tensor.ts', 'types of worker/sampling/'],
  'worker/webgpu/': backend,
  'worker/wasm/': backend,
  'worker/self-test/': [
    'worker/generation/',
    'worker/backend/',
    'worker/webgpu/',
    // The CPU's side of each comparison.
    'worker/wasm/',
    'worker/sampling/',
    'worker/vision/',
    'worker/onnx/',
  ],
  'worker/families/': ['worker/vision/', 'types of worker/backend/', '@huggingface/jinja', '@huggingface/tokenizers'],
  'worker/vision/': ['worker/backend/', 'worker/onnx/'],
  'worker/sampling/': [],
  'worker/grammar/': ['types of worker/sampling/', '@cfworker/json-schema'],
  // Its files by their URLs as well, because they are copied as they are.
  'worker/onnx/': ['onnxruntime-web', 'node_modules/onnxruntime-web/'],
  'worker/storage/': ['src/storage/', 'worker/hub/', 'hash-wasm'],
  // Makes the spec of a repository on the hub. Which model types are known is told to it.
  'worker/hub/': [],

  'models/': [],
  'proxy/': ['src/openai/'],
  // The command that copies the package's files.
  'bin/': ['node:'],

  // From here on the built package is imported, by its name.
  // sharp draws the icons of the installed page.
  'demo/': ['nearsight', 'openai', 'eventsource-parser', 'vite', 'vite-plugin-pwa', 'sharp', 'node:'],
  // The other sides: transformers.js, and a loop by hand on the same onnxruntime and Dawn. The root is where they run.
  'bench/': [
    './',
    'nearsight',
    'tools/',
    '@huggingface/transformers',
    'onnxruntime-web',
    'webgpu',
    'puppeteer-core',
    'vite',
    'node:',
  ],
  'test/browser/': [
    'packages',
    'node:',
    'tools/',
    'test/nim/',
    'test/hub/',
    'test/fixtures/',
    'test/browser/fake-engine/',
    'test/random.ts',
    // Served by the tests' hub as a repository.
    'models/glimpse/',
    'models/glimpse/files.json',
  ],
  // Sampling is compared with the CPU's over more kinds of logits than a model gives.
  'test/browser/sampler/': ['packages', 'node:', 'test/browser/', 'test/node/', 'worker/webgpu/'],
  // An engine of a few lines, in a worker of its own, answers through the whole stack.
  'test/browser/fake-engine/': [
    'worker/*',
    'types of worker/engines/*',
    'worker/storage/',
    'src/protocol/',
    'src/async/',
    'comlink',
  ],
  // How each browser decodes and scales images is compared pixel by pixel, which the public API does not show.
  'test/browser/vision/': [
    'packages',
    'node:',
    'test/browser/',
    'test/fixtures/',
    'test/random.ts',
    'worker/vision/',
    'worker/families/',
    'worker/webgpu/',
    'types of worker/backend/',
    'src/protocol/',
  ],
};

/**
 * @param {string} room
 * @param {string} path
 */
function holds(room, path) {
  if (room.endsWith('/*')) return path.slice(0, path.lastIndexOf('/') + 1) === room.slice(0, -1);
  return room.endsWith('/') ? `${path}/`.startsWith(room) : path === room;
}

/**
 * @param {string} path of a file or a folder
 * @returns {string | undefined} the room that it belongs to
 */
export function roomOf(path) {
  const found = Object.keys(rooms).filter((room) => holds(room, path));
  return found.sort((one, other) => other.length - one.length)[0];
}

/** @param {string} path */
export function isShipped(path) {
  return shipped.some((folder) => path.startsWith(folder));
}
