import type { StoredFile, StoredModel } from '../protocol/stored-model.ts';
import type { Folders } from './folders.ts';
import { filesOf, type NamedRecord, readRecords } from './records.ts';
import { statFile } from './stat.ts';

/** The models of which there is a record. */
export async function listModels(folders: Folders): Promise<StoredModel[]> {
  const { readable } = await readRecords(folders);
  return Promise.all(readable.map((record) => describe(folders, record)));
}

/** What is stored of a model. Files of variants that no load has asked for are listed only if they are there. */
export async function describe(folders: Folders, { name, record }: NamedRecord): Promise<StoredModel> {
  const all = await Promise.all(
    filesOf(record.spec).map(async (file): Promise<StoredFile> => {
      const { path, bytes } = file;
      return { path, bytes, storedBytes: await statFile(folders, file) };
    }),
  );
  const files = all.filter(({ path, storedBytes }) => record.wanted.includes(path) || storedBytes > 0);
  const wanted = files.filter(({ path }) => record.wanted.includes(path));
  return {
    id: record.spec.id,
    revision: name.slice(name.lastIndexOf('@') + 1),
    files,
    bytes: files.reduce((sum, { storedBytes }) => sum + storedBytes, 0),
    totalBytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
    lastUsed: new Date(record.lastUsed),
    complete: wanted.length > 0 && wanted.every(({ bytes, storedBytes }) => bytes === storedBytes),
    unverified: record.hashes === 'none',
  };
}
