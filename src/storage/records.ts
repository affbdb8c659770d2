import { sha256 } from '../bytes/sha256.ts';
import type { ModelFile, ModelSpec } from '../protocol/model-spec.ts';
import type { ModelRecord } from '../protocol/stored-model.ts';
import { findFile, type Folders } from './folders.ts';

/** A record and the name of its file without `.json`. */
export interface NamedRecord {
  name: string;
  record: ModelRecord;
}

/** All files of a spec, each once. */
export function filesOf({ files, variants }: ModelSpec): readonly ModelFile[] {
  const graphs = variants.flatMap(({ graphs: { vision, embed, decoder } }) => [vision, embed, decoder]);
  const all = [...files, ...graphs.flatMap(({ file, data }) => [file, ...data])];
  return [...new Map(all.map((file) => [file.path, file])).values()];
}

/** Whether two specs of a model have the same hashes. */
export function sameHashes(one: ModelSpec, other: ModelSpec): boolean {
  const hashes = (spec: ModelSpec): string =>
    filesOf(spec)
      .map(({ path, sha256: hash }) => `${path} ${hash}`)
      .toSorted()
      .join();
  return hashes(one) === hashes(other);
}

/** The commit, or for a spec without one, 40 hex digits that its hashes give. */
export async function revisionOf(spec: ModelSpec): Promise<string> {
  if (spec.revision) return spec.revision;
  const list = filesOf(spec).map(({ path, sha256: hash }) => `${hash} ${path}\n`);
  return (await sha256(new TextEncoder().encode(list.toSorted().join('')))).slice(0, 40);
}

/** The name of a model's record: `org%2Fname@COMMIT`. */
export async function recordName(spec: ModelSpec): Promise<string> {
  return `${encodeURIComponent(spec.id)}@${await revisionOf(spec)}`;
}

/** What can be read of the folder of records. */
export interface Records {
  readable: NamedRecord[];
  /** Names of files that are no record of this format: written by a later version, or torn when a browser crashed. */
  others: string[];
}

/** Reads all records. */
export async function readRecords({ models }: Folders): Promise<Records> {
  const readable: NamedRecord[] = [];
  const others: string[] = [];
  for await (const file of models.keys()) {
    const name = file.replace(/\.json$/, '');
    const record = await readRecord(models, name);
    if (record) readable.push({ name, record });
    else others.push(file);
  }
  return { readable, others };
}

/** Reads a model's record; undefined if there is none that this version can read. */
export async function readRecord(models: FileSystemDirectoryHandle, name: string): Promise<ModelRecord | undefined> {
  const file = await findFile(models, `${name}.json`);
  if (!file) return undefined;
  try {
    const record: unknown = JSON.parse(await file.text());
    return isRecord(record) ? record : undefined;
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is ModelRecord {
  const record = value as Partial<ModelRecord> | null;
  return record?.format === 1 && record.spec?.format === 1 && Array.isArray(record.wanted);
}

/** Writes a model's record. The caller holds the lock `records`. */
export async function writeRecord({ models }: Folders, { name, record }: NamedRecord): Promise<void> {
  const handle = await models.getFileHandle(`${name}.json`, { create: true });
  const text = JSON.stringify(record);
  // Replaces the file at once when it is closed; Safari before 26 has only the other.
  if ('createWritable' in handle) {
    const stream = await handle.createWritable();
    await stream.write(text);
    return stream.close();
  }
  const access = await (handle as SyncFileHandle).createSyncAccessHandle();
  try {
    access.truncate(0);
    access.write(new TextEncoder().encode(text));
  } finally {
    access.close();
  }
}

/** Only in workers. */
interface SyncFileHandle {
  createSyncAccessHandle(): Promise<{ truncate(size: number): void; write(bytes: Uint8Array): void; close(): void }>;
}
