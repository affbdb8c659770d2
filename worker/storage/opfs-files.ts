import { sha256 } from '../../src/bytes/sha256.ts';
import { NearsightError, textOf } from '../../src/protocol/errors.ts';
import type { StorageFacts } from '../../src/protocol/calls.ts';
import type { ModelFile, ModelSpec } from '../../src/protocol/model-spec.ts';
import type { ModelRecord } from '../../src/protocol/stored-model.ts';
import {
  findFile,
  type Folders,
  isNamed,
  locked,
  LOCKS,
  moveFile,
  partName,
  removeFile,
} from '../../src/storage/folders.ts';
import { supersede } from '../../src/storage/remove.ts';
import { statFile } from '../../src/storage/stat.ts';
import { mergeSpecs, readRecord, recordName, sameHashes, writeRecord } from '../../src/storage/records.ts';
import { checkNumbers, NUMBERED } from '../hub/config-bounds.ts';
import { parseJSON } from '../hub/hub-fetch.ts';
import { checkQuota, quotaError } from './quota.ts';
import { download } from './download.ts';
import { hashError } from './fetch-file.ts';
import { Hasher } from './hasher.ts';
import { holdLock } from './hold-lock.ts';
import { PartFile } from './part-file.ts';
import { Progress } from './shared-progress.ts';
import type { ModelFiles, UseOptions } from './store.ts';
import { hashOf } from './verify.ts';

/** The folder of this worker's script: an application's, and with it a version's where versions have folders. */
const owner = new URL('.', globalThis.location?.href ?? 'file:///').href;

/** In place of the sha256 of a file whose bytes the disk does not give. */
const UNREADABLE = 'that cannot be read';

/** The files of one model in the private file system, from there or from their servers. */
export class OpfsFiles implements ModelFiles {
  readonly storage: StorageFacts = { kind: 'disk' };
  damaged = false;
  readonly #folders: Folders;
  readonly #spec: ModelSpec;
  readonly #name: string;
  readonly #isGiven: boolean;
  readonly #release: () => void;
  /** Files that came from the disk, as their hashes are checked. */
  #checking: Promise<unknown> = Promise.resolve();
  readonly #checked = new Set<string>();
  #hasher: Hasher | undefined;
  readonly #closed = new AbortController();

  private constructor(folders: Folders, spec: ModelSpec, name: string, isGiven: boolean, release: () => void) {
    this.#folders = folders;
    this.#spec = spec;
    this.#name = name;
    this.#isGiven = isGiven;
    this.#release = release;
  }

  /** @throws NearsightError `integrity` for an unverified model that the page does not allow */
  static async open(folders: Folders, spec: ModelSpec, options: UseOptions): Promise<OpfsFiles> {
    const { isGiven, allowUnverified, signal } = options;
    const name = await recordName(spec);
    const release = await holdLock(LOCKS.model(name), signal);
    const files = new OpfsFiles(folders, spec, name, isGiven, release);
    try {
      const record = await readRecord(folders.models, name);
      if (!isGiven && record?.hashes === 'none' && !allowUnverified) throw unverified(spec);
      return files;
    } catch (error) {
      files.close();
      throw error;
    }
  }

  async plan(files: readonly ModelFile[]): Promise<void> {
    for (const file of files) {
      const blob = this.#spec.files.includes(file) ? undefined : await this.#stored(file);
      // The others are checked when they are read.
      if (blob) this.#check(file, blob);
    }
    const missing = await this.#missingBytes(files);
    if (missing > 0) await checkQuota(this.#folders, this.#name, missing);
    await locked(LOCKS.records, async () => {
      const old = await readRecord(this.#folders.models, this.#name);
      if (!old && !this.#isGiven) {
        throw new NearsightError('load_failed', `${this.#spec.id} was deleted while it was being loaded.`);
      }
      // The hashes of an import say nothing about variants that the page's spec does not have.
      const isTrusted = old !== undefined && !(this.#isGiven && old.hashes === 'none');
      const spec = isTrusted ? mergeSpecs(old.spec, this.#spec) : this.#spec;
      const hashes = this.#isGiven ? 'spec' : (old?.hashes ?? 'none');
      const wanted = files.map(({ path }) => path);
      const record: ModelRecord = { ...old, format: 1, spec, wanted, hashes, owner, lastUsed: Date.now() };
      try {
        await writeRecord(this.#folders, { name: this.#name, record });
      } catch (error) {
        if (!isNamed(error, 'QuotaExceededError')) throw error;
        // Only the time of the last use is lost.
        if (missing > 0 || !old || !sameHashes(old.spec, spec))
          throw await quotaError(this.#folders, this.#name, missing);
      }
    });
  }

  async read(file: ModelFile, onBytes: (count: number) => void, signal: AbortSignal): Promise<Uint8Array> {
    const { blob, isVerified } = await this.#find(file, onBytes, signal);
    const bytes = await bytesOf(blob).catch(() => this.#readAgain(file));
    const digest = isVerified ? file.sha256 : await sha256(bytes);
    if (digest !== file.sha256) throw await this.#discard(file, digest);
    // An archive that was imported has not been checked.
    if (!this.#isGiven && NUMBERED.includes(file.path)) checkNumbers(parseJSON(bytes, file.path), file.path);
    return bytes;
  }

  async open(file: ModelFile, onBytes: (count: number) => void, signal: AbortSignal): Promise<Blob> {
    const { blob, isVerified } = await this.#find(file, onBytes, signal);
    if (!isVerified) this.#check(file, blob);
    return blob;
  }

  async verify(): Promise<void> {
    try {
      await this.#checking;
    } finally {
      this.#hasher?.close();
      this.#hasher = undefined;
    }
  }

  supersede(): Promise<void> {
    return supersede(this.#folders, this.#spec.id, this.#name, owner);
  }

  close(): void {
    this.#closed.abort();
    this.#hasher?.close();
    this.#release();
  }

  async #missingBytes(files: readonly ModelFile[]): Promise<number> {
    const stored = await Promise.all(files.map((file) => statFile(this.#folders, file)));
    return files.reduce((sum, { bytes }, index) => sum + bytes - (stored[index] ?? 0), 0);
  }

  /** The file on the disk; downloads it first if it is not there. */
  async #find(
    file: ModelFile,
    onBytes: (count: number) => void,
    signal: AbortSignal,
  ): Promise<{ blob: File; isVerified: boolean }> {
    const stored = await this.#stored(file);
    if (stored) {
      onBytes(file.bytes);
      return { blob: stored, isVerified: false };
    }
    const progress = new Progress(file, onBytes);
    try {
      const blob = await locked(LOCKS.file(file.sha256), () => this.#fetch(file, progress, signal), { signal });
      progress.upTo(file.bytes);
      return { blob, isVerified: true };
    } catch (error) {
      signal.throwIfAborted();
      throw error;
    } finally {
      progress.close();
    }
  }

  /** Downloads a file, unless another tab has done so in the meantime. */
  async #fetch(file: ModelFile, progress: Progress, signal: AbortSignal): Promise<File> {
    const { parts, blobs } = this.#folders;
    const other = await this.#stored(file);
    if (other) return other;
    const handle = await parts.getFileHandle(partName(file), { create: true });
    const part = await PartFile.open(handle, file);
    try {
      await download(part, { onBytes: (count) => progress.add(count), signal });
      part.seal();
    } catch (error) {
      if (!isNamed(error, 'QuotaExceededError')) throw error;
      throw await quotaError(this.#folders, this.#name, file.bytes - part.storedBytes);
    } finally {
      part.close();
    }
    await moveFile(handle, blobs, file.sha256);
    return handle.getFile();
  }

  /** The stored file. One of another length is not it, and is replaced by a download that has the right hash. */
  async #stored({ sha256: name, bytes }: ModelFile): Promise<File | undefined> {
    const blob = await findFile(this.#folders.blobs, name);
    return blob?.size === bytes ? blob : undefined;
  }

  /** Once for each file. */
  #check(file: ModelFile, blob: File): void {
    if (this.#checked.has(file.sha256)) return;
    this.#checked.add(file.sha256);
    this.#hasher ??= new Hasher();
    const checked = this.#compare(file, this.#hasher.hash(blob, this.#closed.signal));
    this.#checking = Promise.all([this.#checking, checked]);
    // It is reported by `verify`.
    this.#checking.catch(() => {});
  }

  async #compare(file: ModelFile, hash: Promise<string>): Promise<void> {
    const digest = await hash.catch(() => UNREADABLE);
    this.#closed.signal.throwIfAborted();
    if (digest !== file.sha256) throw await this.#discard(file, digest);
  }

  async #discard(file: ModelFile, digest: string): Promise<NearsightError> {
    this.damaged = true;
    await this.#keepIfRight(file);
    return hashError(file, digest);
  }

  /** A file whose bytes did not come at once: another tab may have replaced it, or there was no memory for the whole of it. */
  async #readAgain(file: ModelFile): Promise<Uint8Array<ArrayBuffer>> {
    const kept = await this.#keepIfRight(file);
    if (!kept) {
      this.damaged = true;
      throw hashError(file, UNREADABLE);
    }
    return bytesOf(kept).catch((cause: unknown) => {
      const why = `its ${file.bytes} bytes could not be read into memory (${textOf(cause)})`;
      const message = `${file.path} is stored and not damaged, but ${why}. Close other pages, or use a smaller model.`;
      throw new NearsightError('load_failed', message, { cause });
    });
  }

  /** Deletes a stored file if its bytes are wrong. @returns it, if it stays */
  #keepIfRight(file: ModelFile): Promise<File | undefined> {
    return locked(LOCKS.file(file.sha256), async () => {
      // Another tab may have replaced it since.
      const now = await this.#stored(file);
      if (!now) return undefined;
      const digest = await hashOf(now, this.#closed.signal).catch(() => UNREADABLE);
      this.#closed.signal.throwIfAborted();
      if (digest === file.sha256) return now;
      await removeFile(this.#folders.blobs, file.sha256);
      return undefined;
    });
  }
}

async function bytesOf(blob: Blob): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await blob.arrayBuffer());
}

function unverified({ id }: ModelSpec): NearsightError {
  const message = `${id} was imported without hashes from elsewhere, so nobody knows whether its files are what they should be. Call load({ allowUnverified: true }) to use it all the same.`;
  return new NearsightError('integrity', message);
}
