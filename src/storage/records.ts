import { sha256 } from '../bytes/sha256.ts';
import type { ModelFile, ModelSpec } from '../protocol/model-spec.ts';
import type { ModelRecord } from '../protocol/stored-model.ts';
import { findFile, type Folders, whenClosed } from './folders.ts';

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

/** The first file of a spec that has another hash in an older one. */
export function changedFile(old: ModelSpec, next: ModelSpec): ModelFile | undefined {
  const known = new Map(filesOf(old).map(({ path, sha256: hash }) => [path, hash]));
  return filesOf(next).find(({ path, sha256: hash }) => known.has(path) && known.get(path) !== hash);
}

/**
 * One spec with the variants of two, in the order of the first. If they differ about a file, the second alone.
 */
export function mergeSpecs(old: ModelSpec, next: ModelSpec): ModelSpec {
  if (changedFile(old, next)) return next;
  const added = new Map(next.variants.map((variant) => [variant.dtype, variant]));
  const variants = old.variants.map((variant) => added.get(variant.dtype) ?? variant);
  const rest = next.variants.filter(({ dtype }) => !old.variants.some((variant) => variant.dtype === dtype));
  const files = new Map([...old.files, ...next.files].map((file) => [file.path, file]));
  return { ...next, files: [...files.values()], variants: [...variants, ...rest] };
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
  /** Names of files that are records of a later format. */
  others: string[];
  /** Names of files that are not JSON: a browser crashed while one was written for the first time. */
  torn: string[];
}

/** Reads all records. */
export async function readRecords({ models }: Folders): Promise<Records> {
  const readable: NamedRecord[] = [];
  const others: string[] = [];
  const torn: string[] = [];
  for await (const file of models.keys()) {
    const content = await readJSON(models, file);
    if (content === undefined) torn.push(file);
    else if (isRecord(content)) readable.push({ name: file.replace(/\.json$/, ''), record: content });
    else others.push(file);
  }
  return { readable, others, torn };
}

/** Reads a model's record; undefined if there is none that this version can read. */
export async function readRecord(models: FileSystemDirectoryHandle, name: string): Promise<ModelRecord | undefined> {
  const content = await readJSON(models, `${name}.json`);
  return isRecord(content) ? content : undefined;
}

/** The content of a file; undefined if it is not there, or is not JSON. */
async function readJSON(models: FileSystemDirectoryHandle, name: string): Promise<unknown> {
  const text = await readText(models, name);
  try {
    return text === undefined ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function readText(models: FileSystemDirectoryHandle, name: string): Promise<string | undefined> {
  try {
    return await (await findFile(models, name))?.text();
  } catch {
    // Another tab replaced it in the meantime: Chromium's files cannot be read then.
    return (await findFile(models, name))?.text();
  }
}

function isRecord(value: unknown): value is ModelRecord {
  const { format, spec, wanted }: Record<string, unknown> = Object(value);
  return format === 1 && Object(spec).format === 1 && Array.isArray(wanted);
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
  const access = await whenClosed(() => (handle as SyncFileHandle).createSyncAccessHandle());
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
