import { createSHA256, type IHasher } from 'hash-wasm';
import type { ModelFile } from '../../src/protocol/model-spec.ts';
import { whenClosed } from '../../src/storage/folders.ts';
import { bytesDone, emptyJournal, type Journal, parseJournal, rangeOf, segmentsOf } from '../../src/storage/journal.ts';

/**
 * A file that is being downloaded: its bytes in their places, and after them a journal of what is written. Only one thread
 * can have it open. Bytes are hashed in order as soon as all before them are there, and are read back from the disk for it,
 * so that what is hashed is what is stored.
 */
export class PartFile {
  readonly file: ModelFile;
  readonly #access: FileSystemSyncAccessHandle;
  readonly #hasher: IHasher;
  #journal: Journal;
  /** Segments that are hashed: all before the first one that is missing. */
  #hashed = 0;

  private constructor(file: ModelFile, access: FileSystemSyncAccessHandle, hasher: IHasher) {
    this.file = file;
    this.#access = access;
    this.#hasher = hasher;
    const size = access.getSize();
    const text = new Uint8Array(Math.max(0, size - file.bytes));
    access.read(text, { at: file.bytes });
    this.#journal = parseJournal(file.bytes, size, new TextDecoder().decode(text));
  }

  static async open(handle: FileSystemFileHandle, file: ModelFile): Promise<PartFile> {
    const hasher = await createSHA256();
    const access = await whenClosed(() => handle.createSyncAccessHandle());
    try {
      return new PartFile(file, access, hasher);
    } catch (error) {
      access.close();
      throw error;
    }
  }

  get etag(): string | null {
    return this.#journal.etag;
  }

  set etag(value: string | null) {
    this.#journal.etag = value;
  }

  get segments(): number {
    return segmentsOf(this.file.bytes);
  }

  isDone(segment: number): boolean {
    return this.#journal.done[segment] === '1';
  }

  /** Bytes in segments that are whole. */
  get storedBytes(): number {
    return bytesDone(this.file.bytes, this.#journal);
  }

  /** @throws DOMException `QuotaExceededError` */
  write(bytes: Uint8Array, at: number): void {
    const written = this.#access.write(bytes, { at });
    if (written !== bytes.length) throw new DOMException('The disk took only a part.', 'QuotaExceededError');
  }

  /** All bytes of this segment are written. */
  finish(segment: number): void {
    const { done } = this.#journal;
    this.#journal.done = `${done.slice(0, segment)}1${done.slice(segment + 1)}`;
    const text = new TextEncoder().encode(JSON.stringify(this.#journal));
    this.write(text, this.file.bytes);
    this.#access.truncate(this.file.bytes + text.length);
  }

  /** Hashes the next segment, if it is there. @returns whether it was */
  hashNext(): boolean {
    if (!this.isDone(this.#hashed)) return false;
    const { first, last } = rangeOf(this.file.bytes, this.#hashed++);
    const bytes = new Uint8Array(last - first + 1);
    this.#access.read(bytes, { at: first });
    this.#hasher.update(bytes);
    return true;
  }

  /** The sha256 of the file, once all segments are hashed. */
  digest(): string {
    return this.#hasher.digest('hex');
  }

  /** Removes the journal: from now on the file is what was hashed. */
  seal(): void {
    this.#access.truncate(this.file.bytes);
    this.#access.flush();
  }

  /** Forgets all that was downloaded. */
  reset(): void {
    this.#access.truncate(0);
    this.#hasher.init();
    this.#hashed = 0;
    this.#journal = emptyJournal(this.file.bytes);
  }

  close(): void {
    this.#access.close();
  }
}
