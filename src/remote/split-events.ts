const LF = 10;
const CR = 13;
const COLON = 58;

type Bytes = Uint8Array<ArrayBuffer>;

/**
 * Splits the bytes of a server-sent event stream into events, each with the blank line that ends it. A comment between
 * events counts as an event, so that keep-alives pass at once. Each byte is read once, whatever the size of the chunks.
 */
export class EventSplitter {
  /** The bytes of the current event. Doubled when it is full, so that appending stays linear. */
  #bytes = new Uint8Array(1024);
  #length = 0;
  /** The current line's first byte. */
  #first: number | undefined;
  /** Whether the current event has a line that is not a comment. */
  #hasFields = false;
  #afterCR = false;

  /** The bytes of the incomplete event. */
  get pending(): Bytes {
    return this.#bytes.subarray(0, this.#length);
  }

  /** The events that these bytes complete. */
  *push(bytes: Bytes): Generator<Bytes, void, undefined> {
    let start = 0;
    for (let i = 0; i < bytes.length; i++) {
      const byte = bytes[i];
      const isCRLF = this.#afterCR && byte === LF;
      this.#afterCR = byte === CR;
      if (isCRLF) continue;
      if (byte !== LF && byte !== CR) {
        this.#first ??= byte;
        continue;
      }
      const isField = this.#first !== undefined && this.#first !== COLON;
      const isBlank = this.#first === undefined;
      this.#hasFields = !isBlank && (this.#hasFields || isField);
      this.#first = undefined;
      if (this.#hasFields) continue;
      // A CR ends the line at once, because its LF may come with the next event, or never. If it is here, it is included.
      const end = byte === CR && bytes[i + 1] === LF ? i + 2 : i + 1;
      this.#append(bytes.subarray(start, end));
      start = end;
      yield this.#bytes.slice(0, this.#length);
      this.#length = 0;
    }
    this.#append(bytes.subarray(start));
  }

  #append(bytes: Bytes): void {
    const length = this.#length + bytes.length;
    if (length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(length, 2 * this.#bytes.length));
      larger.set(this.pending);
      this.#bytes = larger;
    }
    this.#bytes.set(bytes, this.#length);
    this.#length = length;
  }
}
