import type { LoadPart } from '../../../src/protocol/calls.ts';

/** Counts what a load has read and prepared, and tells the page. */
export class LoadProgress {
  readonly #emit: (part: LoadPart) => void;
  #loadedBytes = 0;
  #totalBytes = 0;
  #doneSteps = 0;
  #steps = 0;

  constructor(emit: (part: LoadPart) => void) {
    this.#emit = emit;
  }

  /**
   * Sets what is still to be done: when a load begins, and when another variant replaces one that failed, some of whose
   * files will never be read.
   */
  plan(bytes: number, steps: number): void {
    this.#totalBytes = this.#loadedBytes + bytes;
    this.#doneSteps = 0;
    this.#steps = steps;
  }

  /** So many bytes have arrived. */
  add(bytes: number): void {
    this.#loadedBytes += bytes;
    // Only `end` reports 100 %: until the model has passed its self-test, another variant may have to be read.
    if (this.#loadedBytes < this.#totalBytes) this.#sendBytes();
  }

  step(): void {
    this.#emit({ state: 'preparing', done: ++this.#doneSteps, of: this.#steps });
  }

  /** Everything has been read, and the last step is done. */
  end(): void {
    this.#sendBytes();
    this.step();
  }

  #sendBytes(): void {
    this.#emit({ state: 'downloading', loadedBytes: this.#loadedBytes, totalBytes: this.#totalBytes });
  }
}
