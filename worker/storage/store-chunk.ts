import { isNearsightError } from '../../src/protocol/errors.ts';
import { type Folders, openFolders } from '../../src/storage/folders.ts';
import { statFile } from '../../src/storage/stat.ts';
import { resolveHub } from '../hub/resolve-hub.ts';
import { DownloadedFiles } from './downloaded-files.ts';
import { storedHubSpec } from './hub-spec.ts';
import { Hasher, serveHashes } from './hasher.ts';
import { OpfsFiles } from './opfs-files.ts';
import type { ModelStore } from './store.ts';

serveHashes();

/**
 * Opens the store of this origin; where there is none, models are downloaded at every load.
 *
 * @param script the URL of this script
 */
export async function openStore(script: string): Promise<ModelStore> {
  Hasher.script = script;
  try {
    return onDisk(await openFolders());
  } catch (error) {
    if (!isNearsightError(error)) throw error;
    return inMemory(error.message);
  }
}

function onDisk(folders: Folders): ModelStore {
  return {
    specOf: async (model, known, signal) => ('hub' in model ? storedHubSpec(folders, model, known, signal) : model),
    async stat(_spec, files) {
      const stored = await Promise.all(files.map((file) => statFile(folders, file)));
      return { storage: { kind: 'disk' }, storedBytes: stored.reduce((sum, bytes) => sum + bytes, 0) };
    },
    use: (spec, options) => OpfsFiles.open(folders, spec, options),
  };
}

function inMemory(reason: string): ModelStore {
  return {
    specOf: async (model, modelTypes, signal) =>
      'hub' in model ? (await resolveHub(model, { modelTypes, signal })).spec : model,
    stat: async () => ({ storage: { kind: 'memory', reason }, storedBytes: 0 }),
    use: async () => new DownloadedFiles(reason),
  };
}
