import { type Folders, locked, LOCKS, removeFile } from './folders.ts';
import { filesOf, type NamedRecord, readRecords } from './records.ts';

/**
 * Deletes a model, except files that another model has as well.
 *
 * @returns whether it was deleted: not if it is loaded, or being loaded, in any tab
 */
export async function removeModel(folders: Folders, { name, record }: NamedRecord): Promise<boolean> {
  return unlessUsed(name, () =>
    locked(LOCKS.records, async () => {
      await removeFile(folders.models, `${name}.json`);
      const others = await readRecords(folders);
      const kept = hashesOf(others.readable);
      for (const { sha256 } of filesOf(record.spec)) if (!kept.has(sha256)) await removeHash(folders, sha256);
      return true;
    }),
  );
}

/** Runs `work` if no tab uses the model; false otherwise. */
function unlessUsed(name: string, work: () => Promise<boolean>): Promise<boolean> {
  const run = async (lock: Lock | null): Promise<boolean> => lock !== null && work();
  return navigator.locks.request(LOCKS.model(name), { ifAvailable: true }, run);
}

/** Deletes the other records of this model, now that this one is whole: older revisions. */
export async function supersede(folders: Folders, id: string, name: string): Promise<void> {
  const { readable } = await readRecords(folders);
  const older = readable.filter(({ name: other, record }) => record.spec.id === id && other !== name);
  for (const record of older) await removeModel(folders, record);
}

/**
 * Deletes files that belong to no model: what is left after a crash. Nothing, if there are records that this version cannot
 * read: their files are not known.
 */
export async function collectOrphans(folders: Folders): Promise<void> {
  await locked(LOCKS.records, async () => {
    const { readable, others } = await readRecords(folders);
    if (others.length > 0) return;
    const kept = hashesOf(readable);
    for (const folder of [folders.blobs, folders.parts]) {
      for await (const name of folder.keys()) if (!kept.has(name)) await removeFile(folder, name);
    }
  });
}

function hashesOf(records: readonly NamedRecord[]): Set<string> {
  return new Set(records.flatMap(({ record }) => filesOf(record.spec).map(({ sha256 }) => sha256)));
}

async function removeHash({ blobs, parts }: Folders, sha256: string): Promise<void> {
  await removeFile(blobs, sha256);
  // Another tab that writes it has it locked: then it stays, for a record that will be written names it.
  await removeFile(parts, sha256).catch(() => {});
}
