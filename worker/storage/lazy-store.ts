import type { HubModel, ModelSpec } from '../../src/protocol/model-spec.ts';
import { importChunk } from '../../src/async/import-chunk.ts';
import { DownloadedFiles } from './downloaded-files.ts';
import type { ModelStore } from './store.ts';

/** Why the files of a model that comes with the package are not stored. */
const PACKAGED = "its files come with the page, and are in the browser's cache as the page's other files are";

let opened: Promise<ModelStore> | undefined;

/** The code of the store is a file of its own, which a page that uses packaged models only never fetches. */
function openStore(): Promise<ModelStore> {
  const url = new URL('./store-chunk.ts', import.meta.url);
  opened ??= importChunk<typeof import('./store-chunk.ts')>('store.js', url)
    .catch((error: unknown) => {
      opened = undefined;
      throw error;
    })
    .then((chunk) => chunk.openStore(url.href));
  return opened;
}

/** Keeps models on the disk, except those that come with the package. */
export const lazyStore: ModelStore = {
  specOf: async (model, ...more) => (isSpec(model) ? model : (await openStore()).specOf(model, ...more)),
  async stat(spec, files) {
    if (!spec.assets) return (await openStore()).stat(spec, files);
    return { storage: { kind: 'memory', reason: PACKAGED }, storedBytes: 0 };
  },
  async use(spec, options) {
    return spec.assets ? new DownloadedFiles(PACKAGED) : (await openStore()).use(spec, options);
  },
};

function isSpec(model: ModelSpec | HubModel): model is ModelSpec {
  return !('hub' in model);
}
