import { createSHA256 } from 'hash-wasm';
import { asNearsightError, NearsightError } from '../protocol/errors.ts';
import type { ModelFile, ModelSpec, ModelVariant } from '../protocol/model-spec.ts';
import type { ModelRecord, StoredModel } from '../protocol/stored-model.ts';
import { findFile, type Folders, isNamed, locked, LOCKS, moveFile, removeFile } from './folders.ts';
import { entriesOf, type ImportEntry, type ImportSource } from './import-source.ts';
import { describe } from './list.ts';
import { checkNames, MAX_SPEC_BYTES, readSpec } from './read-spec.ts';
import { changedFile, filesOf, mergeSpecs, readRecord, recordName, revisionOf, writeRecord } from './records.ts';

/** How {@link Storage.import} checks and reports. */
export interface ImportOptions {
  /** What the files must be; default: the `spec.json` among them, which proves nothing. */
  spec?: ModelSpec;
  /** Aborting it ends the import with the signal's reason. Files that are whole stay. */
  signal?: AbortSignal;
  /** Called with the number of bytes that were read so far. */
  onProgress?: (bytes: number) => void;
}

/** Stores a model from files. */
export async function importModel(
  folders: Folders,
  source: ImportSource,
  { spec: given, signal, onProgress = () => {} }: ImportOptions,
): Promise<StoredModel> {
  checkWritable();
  let begun = given && (await begin(folders, checkGiven(given), 'spec'));
  let bytes = 0;
  const onBytes = (count: number): void => onProgress((bytes += count));
  for await (const entry of entriesOf(source)) {
    signal?.throwIfAborted();
    if (!begun && entry.path === 'spec.json') {
      begun = await begin(folders, await named(readSpec(await textOf(entry))), 'none');
      continue;
    }
    if (!begun) throw noSpec();
    const file = filesOf(begun.spec).find(({ path }) => path === entry.path);
    if (file) await store(folders, file, entry, onBytes, signal);
    else await entry.stream().cancel();
  }
  if (!begun) throw noSpec();
  return finish(folders, begun.spec, begun.name);
}

/** Before a record is written: what cannot be finished must not begin. */
function checkWritable(): void {
  if ('createWritable' in FileSystemFileHandle.prototype) return;
  const message = 'This browser cannot write files from a page (Safari can from 26 on).';
  throw new NearsightError('storage_unavailable', message);
}

function checkGiven(spec: ModelSpec): ModelSpec {
  try {
    checkNames(spec);
    return spec;
  } catch (cause) {
    const message = `spec is not a ModelSpec: ${asNearsightError(cause).message}.`;
    throw new NearsightError('invalid_request', message, { param: 'spec', cause });
  }
}

/** With a revision, from which its record is named: a part of the spec must not pass for another model. */
async function named(spec: ModelSpec): Promise<ModelSpec> {
  return { ...spec, revision: await revisionOf(spec) };
}

function noSpec(): NearsightError {
  const message = 'These files have no spec.json as their first. Pass { spec }: what the files must be.';
  return new NearsightError('integrity', message);
}

async function textOf(entry: ImportEntry): Promise<string> {
  if (entry.bytes > MAX_SPEC_BYTES) {
    throw new NearsightError('integrity', `spec.json has ${entry.bytes} bytes; at most ${MAX_SPEC_BYTES} are read.`);
  }
  return new Response(entry.stream()).text();
}

/**
 * Writes the record, so that no tab deletes the files that follow.
 *
 * @returns its name, and the spec that the files are checked against
 */
async function begin(
  folders: Folders,
  spec: ModelSpec,
  hashes: 'spec' | 'none',
): Promise<{ name: string; spec: ModelSpec }> {
  const name = await recordName(spec);
  return locked(LOCKS.records, async () => {
    const old = await readRecord(folders.models, name);
    const isTrusted = old !== undefined && old.hashes !== 'none';
    if (hashes === 'none' && old && changedFile(old.spec, spec)) {
      const message = `${spec.id} was stored before with other hashes than this archive's. Delete it first if you trust the archive.`;
      throw new NearsightError('integrity', message);
    }
    // Hashes that were recorded before tell more than the archive's own, which may have other variants.
    if (hashes === 'none' && isTrusted) return { name, spec: old.spec };
    // What only an archive said is not mixed with the page's spec.
    const known = hashes === 'none' || isTrusted ? old : undefined;
    const merged = known ? mergeSpecs(known.spec, spec) : spec;
    const record: ModelRecord = { wanted: [], ...known, format: 1, spec: merged, hashes, lastUsed: Date.now() };
    await writeRecord(folders, { name, record });
    return { name, spec };
  });
}

/** The record lists what is there. @throws NearsightError `integrity` if that is not enough for a load */
async function finish(folders: Folders, spec: ModelSpec, name: string): Promise<StoredModel> {
  return locked(LOCKS.records, async () => {
    const record = await readRecord(folders.models, name);
    if (!record) throw new NearsightError('integrity', `${spec.id} was deleted during the import.`);
    const all = { ...record, wanted: filesOf(record.spec).map(({ path }) => path) };
    const { files } = await describe(folders, { name, record: all });
    const whole = new Set(files.filter((file) => file.bytes === file.storedBytes).map(({ path }) => path));
    const wanted = wantedOf(spec, whole);
    // Of other variants, there may be parts.
    const missing = wanted.find((path) => !whole.has(path));
    const wasWhole = record.wanted.length > 0 && record.wanted.every((path) => whole.has(path));
    // A failed import leaves a complete model as it was.
    const updated = missing !== undefined && wasWhole ? record : { ...record, wanted };
    await writeRecord(folders, { name, record: updated });
    if (missing === undefined) return describe(folders, { name, record: updated });
    throw new NearsightError('integrity', `${missing} of ${spec.id} is missing. What was there is kept.`);
  });
}

/** Paths of the files that a load needs: of the variant of which all files are there, else of the first. */
function wantedOf({ files, variants }: ModelSpec, whole: ReadonlySet<string>): string[] {
  const pathsOf = ({ graphs: { vision, embed, decoder } }: ModelVariant): string[] =>
    [vision, embed, decoder].flatMap(({ file, data }) => [file, ...data]).map(({ path }) => path);
  const lists = variants.map(pathsOf);
  const graphs = lists.find((paths) => paths.every((path) => whole.has(path))) ?? lists[0] ?? [];
  return [...files.map(({ path }) => path), ...graphs];
}

/** Copies a file into the store; it is visible there only if its bytes are right. */
async function store(
  folders: Folders,
  file: ModelFile,
  entry: ImportEntry,
  onBytes: (count: number) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  await locked(LOCKS.file(file.sha256), async () => {
    const { blobs, parts } = folders;
    if ((await findFile(blobs, file.sha256))?.size === file.bytes) {
      onBytes(file.bytes);
      return entry.stream().cancel();
    }
    if (entry.bytes !== file.bytes) throw differs(file, `${entry.bytes} bytes, not ${file.bytes}`);
    // Not the name of a download, which may go on later.
    const name = `${file.sha256}.import`;
    const handle = await parts.getFileHandle(name, { create: true });
    try {
      const digest = await copy(handle, entry, onBytes, signal);
      if (digest !== file.sha256) throw differs(file, `sha256 ${digest}, not ${file.sha256}`);
      await moveFile(handle, blobs, file.sha256);
    } catch (error) {
      await removeFile(parts, name);
      if (!isNamed(error, 'QuotaExceededError')) throw error;
      const message = `There is no space for ${file.path} (${file.bytes} bytes). storage.evict({ toFree: ${file.bytes} }) makes some.`;
      throw new NearsightError('quota_exceeded', message, { cause: error });
    }
  });
}

async function copy(
  handle: FileSystemFileHandle,
  entry: ImportEntry,
  onBytes: (count: number) => void,
  signal: AbortSignal | undefined,
): Promise<string> {
  const hasher = await createSHA256();
  const hashing = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      hasher.update(chunk);
      onBytes(chunk.length);
      controller.enqueue(chunk);
    },
  });
  const writable = await handle.createWritable();
  await entry
    .stream()
    .pipeThrough(hashing)
    .pipeTo(writable, signal ? { signal } : {});
  return hasher.digest('hex');
}

function differs({ path }: ModelFile, how: string): NearsightError {
  return new NearsightError('integrity', `${path} has ${how}. It was not stored.`);
}
