/**
 * Bytes that are made when `subarray` asks for them: read from a file, or computed. Each call gives bytes of its own, which
 * nobody else holds, unless `isScratch` says otherwise. It is a `Uint8Array` because onnxruntime takes nothing else that can
 * be read in parts: it asks for `byteLength`, and for one `subarray` per tensor. Its own buffer is empty, so indexing, `set`,
 * TextDecoder and the like find no bytes.
 */
export class LazyBytes extends Uint8Array {
  readonly #byteLength: number;
  readonly #make: (from: number, to: number) => Uint8Array<ArrayBuffer>;

  /** What inherited methods make, such as `map`. */
  static get [Symbol.species](): Uint8ArrayConstructor {
    return Uint8Array;
  }

  /** Whether the bytes are a view on memory that the next call writes to, so that nobody may free it. */
  readonly isScratch: boolean;

  /**
   * @param make gives the bytes from one index to another, new ones at each call
   * @param isScratch see {@link isScratch}
   */
  constructor(
    byteLength: number,
    make: (from: number, to: number) => Uint8Array<ArrayBuffer>,
    { isScratch = false } = {},
  ) {
    super();
    this.#byteLength = byteLength;
    this.#make = make;
    this.isScratch = isScratch;
  }

  override get byteLength(): number {
    return this.#byteLength;
  }

  override get length(): number {
    return this.#byteLength;
  }

  /** Makes bytes. Unlike other arrays', they are no view. @throws what making them throws */
  override subarray(from = 0, to = this.#byteLength): Uint8Array<ArrayBuffer> {
    const start = clampIndex(from, this.#byteLength);
    return this.#make(start, Math.max(start, clampIndex(to, this.#byteLength)));
  }

  /** The same as {@link subarray}. */
  override slice(from?: number, to?: number): Uint8Array<ArrayBuffer> {
    return this.subarray(from, to);
  }
}

/** An index as methods of arrays take it: negative ones count from the end. */
export function clampIndex(index: number, length: number): number {
  return index < 0 ? Math.max(0, length + index) : Math.min(index, length);
}
