import type { LoadPart } from '../../../src/protocol/calls.ts';

/** Counts what a load has read and prepared, and tells the page. */
export class LoadProgress {
  readonly #emit: (part: LoadPart) => void;
  #loadedBytes = 0;
  #totalBytes = 0;
  #done = 0;
  #steps = 0;

  constructor(emit: (part: LoadPart) => void) {
    this.#emit = emit;
  }

  /**
   * What is still to be done: when a load begins, and when another variant replaces one that failed, of which some files
   * will never be read.
   */
  plan(bytes: number, steps: number): void {
    this.#totalBytes = this.#loadedBytes + bytes;
    this.#done = 0;
    this.#steps = steps;
  }

  /** So many bytes have come. */
  add(bytes: number): void {
    this.#loadedBytes += bytes;
    // That all have come is told by `end`: until the model has passed its tests, another variant may have to be read.
    if (this.#loadedBytes < this.#totalBytes) this.#sendBytes();
  }

  step(): void {
    this.#emit({ type: 'prepare', done: ++this.#done, of: this.#steps });
  }

  /** Everything has been read, nothing more will be, and the last step is done. */
  end(): void {
    this.#sendBytes();
    this.step();
  }

  #sendBytes(): void {
    this.#emit({ type: 'download', loadedBytes: this.#loadedBytes, totalBytes: this.#totalBytes });
  }
}
