/**
 * What of the shared browser tests is not run on the second engine, and why. `test/node/engines/second-engine.test.ts` holds
 * that every file is either here or run from this folder.
 */

const NO_ENGINE = 'it is about what comes before or around an engine, which is the same for both';
const DEMO = 'the demo shows the same, whichever engine is behind the page';
const STORE = 'the store gives verified files to either engine';
const FULL_SIZE = 'there are no full-size graphs of another family';

/** Whole files, by their names without `.test.ts`. */
export const FILES_NOT_RUN: Readonly<Record<string, string>> = {
  ask: NO_ENGINE,
  assets: NO_ENGINE,
  contexts: NO_ENGINE,
  'contexts.long': NO_ENGINE,
  counters: 'it counts the work of captured steps; the second engine takes its steps one by one',
  'counters.long': 'it counts the work of captured steps; the second engine takes its steps one by one',
  demo: DEMO,
  'demo-data': DEMO,
  'demo-images': DEMO,
  'demo-looks': DEMO,
  'demo-measure': DEMO,
  'demo-offline': DEMO,
  'demo-store': DEMO,
  'fake-engine': 'it has an engine of its own',
  'faults.long': STORE,
  'flat.nightly': "its ratios are those of the first engine; 'growth.long' is run, and counts what must not grow",
  'gpu-loss.long': "'gpu-failures' has three of its twenty moments, and is run",
  'hang.long': NO_ENGINE,
  harness: NO_ENGINE,
  hub: NO_ENGINE,
  'hub-families': 'it is about models of the second engine',
  'main-thread': NO_ENGINE,
  'prefix.long':
    'it counts dispatches of the first engine; both have the prefix cache of test/node/engines/engine-cases.ts',
  'public-api': NO_ENGINE,
  'quantized-embeddings': "it is about the first engine's own look-up; onnxruntime's graph is the second's",
  'self-test': 'it breaks kernels that only optimized graphs have, and counts the readbacks of the first engine',
  'standin-store.nightly': FULL_SIZE,
  'standin.long': FULL_SIZE,
  storage: STORE,
  'storage-api.long': STORE,
  'storage-hub.long': STORE,
  'storage-import.long': STORE,
  'storage.long': STORE,
  'thread-start.nightly': NO_ENGINE,
  'tiny-models': 'it has models of both',
  webgpu: NO_ENGINE,
};

/** Single tests of files that are run. */
export const TESTS_NOT_RUN = {
  'kv-out-of-memory.long: outgrows': 'it knows how many buffers the first engine has, which writes in place',
} as const;
