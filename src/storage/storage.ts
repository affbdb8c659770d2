import { NearsightError } from '../protocol/errors.ts';
import type { StoredModel } from '../protocol/stored-model.ts';
import { exportModel } from './export-model.ts';
import { findFile, openFolders } from './folders.ts';
import { importModel, type ImportOptions } from './import-model.ts';
import type { ImportSource } from './import-source.ts';
import { listModels } from './list.ts';
import { type NamedRecord, readRecords } from './records.ts';
import { collectOrphans, removeModel } from './remove.ts';

/**
 * The models in this origin's storage, whichever page or version of nearsight stored them. Works in pages and workers, also
 * while a model is loaded.
 *
 * Every method rejects with a NearsightError `storage_unavailable` where the browser cannot store models.
 */
export interface Storage {
  /** The stored models, those included that are not complete. */
  list(): Promise<StoredModel[]>;
  /** Bytes of all stored files, and what the browser says about this origin: how much it may store, and how much is left. */
  usage(): Promise<{ bytes: number; quota?: number; available?: number }>;
  /**
   * Deletes a model, except files that another model has as well.
   *
   * @param revision default: all revisions
   * @throws NearsightError `model_not_found`; `storage_unavailable` while it is loaded in any tab
   */
  delete(id: string, revision?: string): Promise<void>;
  /**
   * Deletes models, least recently used first, until so many bytes are free. Never one that is loaded in any tab.
   *
   * @returns which were deleted, and how many bytes that freed, fewer than `toFree` if there was nothing more to delete
   * @throws NearsightError `invalid_request` if `toFree` is no number: no comparison with it would ever end the deletions
   */
  evict(options: { toFree: number }): Promise<{ freed: number; deleted: string[] }>;
  /** Deletes all models that are not loaded in any tab, and what is left of interrupted downloads. */
  clear(): Promise<void>;
  /**
   * Stores a model from files: those of a folder, or a tar that {@link Storage.export} made.
   *
   * The files are checked against `spec`, or against the hashes that were recorded when this model was stored before. With
   * neither, the model counts as unverified, and a load wants `{ allowUnverified: true }`.
   *
   * @throws NearsightError `integrity` if a file is missing or differs, `quota_exceeded`, or the signal's reason
   */
  import(source: ImportSource, options?: ImportOptions): Promise<StoredModel>;
  /**
   * A stored model as a tar, whose first entry, `spec.json`, is its spec.
   *
   * @throws NearsightError `model_not_found` if it is not stored whole
   */
  export(id: string): Promise<ReadableStream<Uint8Array>>;
}

/** How long a deletion waits for a worker that was ended just before. */
const DELETE_WAIT_MS = 3000;

/** The storage of this origin. */
export const storage: Storage = {
  list: async () => listModels(await openFolders()),

  async usage() {
    const bytes = await bytesStored();
    const { quota, usage } = await navigator.storage.estimate();
    if (quota === undefined || usage === undefined) return { bytes };
    return { bytes, quota, available: Math.max(0, quota - usage) };
  },

  async delete(id, revision) {
    const folders = await openFolders();
    const { readable } = await readRecords(folders);
    const found = readable.filter(({ name, record }) => record.spec.id === id && isRevision(name, revision));
    if (found.length === 0) throw notStored(id);
    for (const record of found) {
      if (await removeModel(folders, record, DELETE_WAIT_MS)) continue;
      const message = `${id} is loaded, here or in another tab, so it was not deleted. Unload it first.`;
      throw new NearsightError('storage_unavailable', message);
    }
  },

  async evict(options) {
    const { toFree }: { toFree?: unknown } = Object(options);
    if (typeof toFree !== 'number' || Number.isNaN(toFree)) {
      const message = `storage.evict() takes { toFree }: a number of bytes, not ${String(toFree)}. Nothing was deleted.`;
      throw new NearsightError('invalid_request', message, { param: 'toFree' });
    }
    const folders = await openFolders();
    const deleted: string[] = [];
    const before = await bytesStored();
    const freed = async (): Promise<number> => before - (await bytesStored());
    for (const record of (await readRecords(folders)).readable.toSorted(byLastUse)) {
      if ((await freed()) >= toFree) break;
      if (await removeModel(folders, record)) deleted.push(record.record.spec.id);
    }
    return { freed: await freed(), deleted };
  },

  async clear() {
    const folders = await openFolders();
    for (const record of (await readRecords(folders)).readable) await removeModel(folders, record);
    await collectOrphans(folders);
  },

  import: async (source, options = {}) => importModel(await openFolders(), source, options),
  export: async (id) => exportModel(await openFolders(), id),
};

function isRevision(name: string, revision: string | undefined): boolean {
  return revision === undefined || name.endsWith(`@${revision}`);
}

function byLastUse(a: NamedRecord, b: NamedRecord): number {
  return a.record.lastUsed - b.record.lastUsed;
}

/** Files that models share count once. */
async function bytesStored(): Promise<number> {
  const { blobs, parts } = await openFolders();
  let sum = 0;
  for (const folder of [blobs, parts]) {
    // One that was moved or deleted in the meantime counts nothing.
    for await (const name of folder.keys()) sum += (await findFile(folder, name))?.size ?? 0;
  }
  return sum;
}

/** The error for a model that is not stored. */
function notStored(id: string, why = 'is not stored here'): NearsightError {
  return new NearsightError('model_not_found', `${id} ${why}. storage.list() says which models are.`);
}
