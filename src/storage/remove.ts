import type { ModelFile } from '../protocol/model-spec.ts';
import { type Folders, isNamed, locked, LOCKS, partName, removeFile } from './folders.ts';
import { filesOf, type NamedRecord, readRecords } from './records.ts';

/** A revision that another application opened is deleted by this one only when nobody has used it for so long. */
const UNUSED_MS = 30 * 24 * 3600 * 1000;

/**
 * Deletes a model, except files that another model has as well.
 *
 * @param wait for a worker that has just been ended, in milliseconds: it holds its lock a moment longer
 * @returns whether it was deleted: not if it is loaded, or being loaded, in any tab
 */
export async function removeModel(folders: Folders, { name, record }: NamedRecord, wait = 0): Promise<boolean> {
  return unlessUsed(name, wait, () =>
    locked(LOCKS.records, async () => {
      await removeFile(folders.models, `${name}.json`);
      const others = await readRecords(folders);
      const kept = hashesOf(others.readable);
      for (const file of filesOf(record.spec)) if (!kept.has(file.sha256)) await removeStored(folders, file);
      return true;
    }),
  );
}

/** Runs `work` if no tab uses the model; false otherwise. */
async function unlessUsed(name: string, wait: number, work: () => Promise<boolean>): Promise<boolean> {
  const options: LockOptions = wait > 0 ? { signal: AbortSignal.timeout(wait) } : { ifAvailable: true };
  const run = async (lock: Lock | null): Promise<boolean> => lock !== null && work();
  try {
    // Its declared type has no overload that passes the callback's type on together with options.
    return await navigator.locks.request(LOCKS.model(name), options, run);
  } catch (error) {
    if (isNamed(error, 'TimeoutError')) return false;
    throw error;
  }
}

/**
 * Deletes other revisions of a model that the same application has used, now that this one has been loaded, and files
 * that no model has. Two applications on one origin, or two versions of one in different folders, may need different revisions.
 */
export async function supersede(folders: Folders, id: string, name: string, owner: string): Promise<void> {
  const { readable } = await readRecords(folders);
  const others = readable.filter(({ name: other, record }) => record.spec.id === id && other !== name);
  for (const other of others) {
    const { record } = other;
    if (record.owner === owner || record.lastUsed < Date.now() - UNUSED_MS) await removeModel(folders, other);
  }
  await collectOrphans(folders);
}

/**
 * Deletes files that belong to no model: what is left after a crash. Nothing, if there are records that this version cannot
 * read: their files are not known.
 */
export async function collectOrphans(folders: Folders): Promise<void> {
  await locked(LOCKS.records, async () => {
    const { readable, others, torn } = await readRecords(folders);
    for (const name of torn) await removeFile(folders.models, name);
    if (others.length > 0) return;
    const kept = hashesOf(readable);
    for (const folder of [folders.blobs, folders.parts]) {
      for await (const name of folder.keys()) {
        if (!kept.has(hashOf(name))) await removeUnlessWritten(folder, name);
      }
    }
  });
}

function hashesOf(records: readonly NamedRecord[]): Set<string> {
  return new Set(records.flatMap(({ record }) => filesOf(record.spec).map(({ sha256 }) => sha256)));
}

async function removeStored({ blobs, parts }: Folders, file: ModelFile): Promise<void> {
  await removeFile(blobs, file.sha256);
  // Another tab may download it for another model.
  await removeUnlessWritten(parts, partName(file));
}

async function removeUnlessWritten(folder: FileSystemDirectoryHandle, name: string): Promise<void> {
  // Does not wait for the lock, so its place in the order of locks does not matter.
  await navigator.locks.request(LOCKS.file(hashOf(name)), { ifAvailable: true }, async (lock) => {
    // What cannot be deleted now is tried again after the next load.
    if (lock) await removeFile(folder, name).catch(() => {});
  });
}

/** The names of parts have a suffix. */
function hashOf(name: string): string {
  return name.replace(/\..*/, '');
}
