import { NearsightError } from '../protocol/errors.ts';
import { clampIndex, LazyBytes } from './lazy-bytes.ts';

/**
 * Bytes in memory or in a file. Every `Uint8Array` is one, and so is a {@link LazyBytes}, whose elements can be read
 * through `subarray` only: code that may be given either takes this type, so that the compiler refuses an index.
 */
export type ByteSource = Pick<Uint8Array, 'byteLength' | 'subarray'>;

/** Reads all bytes of a blob, without waiting for the event loop. */
export type ReadBlob = (blob: Blob) => ArrayBuffer;

/** Workers only: pages have no FileReaderSync, and neither has the DOM library that this file is compiled with. */
const readSync: ReadBlob = (blob) => {
  const scope: typeof globalThis & { FileReaderSync?: new () => { readAsArrayBuffer: ReadBlob } } = globalThis;
  if (!scope.FileReaderSync) throw new TypeError('there is no FileReaderSync outside workers');
  return new scope.FileReaderSync().readAsArrayBuffer(blob);
};

/** Longer reads go to the file directly; shorter ones through a window. */
const MIN_WINDOW = 4 << 10;
const MAX_WINDOW = 64 << 10;

/** Reads parts of a blob. All views on a file share one. */
export class BlobReader {
  readonly size: number;
  /** Why the last read failed, for callers that get no error: onnxruntime drops what a read throws. */
  failure: NearsightError | undefined;
  readonly #blob: Blob;
  readonly #readBlob: ReadBlob;
  /** The last bytes that were read for a short read: the next one is likely to be close by. */
  #window: Uint8Array<ArrayBuffer> = new Uint8Array();
  #windowAt = 0;

  /** @param readBlob default: FileReaderSync, which only workers have */
  constructor(blob: Blob, readBlob: ReadBlob = readSync) {
    this.size = blob.size;
    this.#blob = blob;
    this.#readBlob = readBlob;
  }

  /** @throws NearsightError `load_failed` if the file is gone or was changed, or there is no memory */
  read(from: number, to: number): Uint8Array<ArrayBuffer> {
    if (from === to) return new Uint8Array();
    if (to - from > MIN_WINDOW) return this.#fetch(from, to);
    const ahead = this.#windowAt + this.#window.length;
    if (from < this.#windowAt || to > ahead) {
      // A parser that goes on where the window ends gets a longer one; one that has skipped something, a short one.
      const goesOn = from >= this.#windowAt && from <= ahead;
      const size = goesOn ? Math.min(this.#window.length * 2, MAX_WINDOW) : MIN_WINDOW;
      this.#window = this.#fetch(from, Math.min(from + Math.max(size, MIN_WINDOW), this.size));
      this.#windowAt = from;
    }
    return this.#window.slice(from - this.#windowAt, to - this.#windowAt);
  }

  #fetch(from: number, to: number): Uint8Array<ArrayBuffer> {
    try {
      const bytes = new Uint8Array(this.#readBlob(this.#blob.slice(from, to)));
      if (bytes.length === to - from) return bytes;
      throw new RangeError(`${bytes.length} bytes instead of ${to - from}`);
    } catch (cause) {
      const message =
        `A stored file of the model could not be read (${String(cause)}): it was deleted or changed while it was in ` +
        `use, or there is no memory for ${to - from} bytes. Load the model again: what is missing is downloaded.`;
      this.failure = new NearsightError('load_failed', message, { cause });
      throw this.failure;
    }
  }
}

/** The bytes of a file, or a part of them, which are read when `subarray` asks for them and not kept. */
export class FileBytes extends LazyBytes {
  readonly #reader: BlobReader;
  readonly #from: number;

  /**
   * @param source the blob, such as the File of an OPFS handle; it is not read yet
   * @param from the first byte; default: 0
   * @param to the byte after the last; default: the blob's size
   */
  constructor(source: Blob | BlobReader, from = 0, to = source.size) {
    const reader = source instanceof BlobReader ? source : new BlobReader(source);
    super(to - from, (start, end) => reader.read(from + start, from + end));
    this.#reader = reader;
    this.#from = from;
  }

  /** Why a read failed, if one did: of this view or of another one on the file. */
  get failure(): NearsightError | undefined {
    return this.#reader.failure;
  }

  /** A part, which is not read yet. */
  view(from: number, to: number): FileBytes {
    const start = this.#from + clampIndex(from, this.byteLength);
    return new FileBytes(this.#reader, start, Math.max(start, this.#from + clampIndex(to, this.byteLength)));
  }

  /** Where this part begins in another one of the same file; undefined if it is not in it. */
  offsetIn(other: FileBytes): number | undefined {
    const offset = this.#from - other.#from;
    const isInside = this.#reader === other.#reader && offset >= 0 && offset + this.byteLength <= other.byteLength;
    return isInside ? offset : undefined;
  }
}

/** All bytes, in memory: those that are there already are not copied. */
export function bytesIn(source: ByteSource): Uint8Array {
  return source.subarray(0, source.byteLength);
}

/** A part of the bytes, without reading or copying them. */
export function partOf(source: ByteSource, from: number, to: number): ByteSource {
  return isFile(source) ? source.view(from, to) : source.subarray(from, to);
}

/** By what it can do: scripts that are fetched later have a class of their own. */
function isFile(source: ByteSource): source is FileBytes {
  return 'view' in source;
}

/** Where `part` begins in `source`; undefined if it is not a part of it. */
export function offsetIn(part: ByteSource, source: ByteSource): number | undefined {
  if (part instanceof FileBytes && source instanceof FileBytes) return part.offsetIn(source);
  if (part instanceof FileBytes || source instanceof FileBytes) return undefined;
  if (!(part instanceof Uint8Array && source instanceof Uint8Array) || part.buffer !== source.buffer) return undefined;
  const offset = part.byteOffset - source.byteOffset;
  return offset >= 0 && offset + part.length <= source.length ? offset : undefined;
}
