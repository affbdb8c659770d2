import type { LoadPart } from '../../../src/protocol/calls.ts';

/** The least time between two reports of bytes: each crosses to the page and is drawn there. */
const REPORT_MS = 100;

/** The time over which the rate is taken. */
const WINDOW_MS = 3000;

/** Counts what a load has read and prepared, and tells the page. */
export class LoadProgress {
  readonly #emit: (part: LoadPart) => void;
  #loadedBytes = 0;
  #totalBytes = 0;
  #doneSteps = 0;
  #steps = 0;
  #reported = -Infinity;
  /** When how much had been read, in the last seconds. */
  #window: { time: number; bytes: number }[] = [];

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
    const now = performance.now();
    if (now - this.#reported < REPORT_MS) return;
    this.#reported = now;
    // Only `end` reports 100 %: until the model has passed its self-test, another variant may have to be read.
    if (this.#loadedBytes < this.#totalBytes) this.#sendBytes(now);
  }

  step(): void {
    this.#emit({ state: 'preparing', done: ++this.#doneSteps, of: this.#steps });
  }

  /** Everything has been read, and the last step is done. */
  end(): void {
    this.#sendBytes(performance.now());
    this.step();
  }

  #sendBytes(now: number): void {
    this.#window = [
      ...this.#window.filter(({ time }) => now - time < WINDOW_MS),
      { time: now, bytes: this.#loadedBytes },
    ];
    const [first = { time: now, bytes: 0 }] = this.#window;
    const elapsed = now - first.time;
    const bytesPerSecond = elapsed < REPORT_MS ? undefined : ((this.#loadedBytes - first.bytes) * 1000) / elapsed;
    const secondsLeft = bytesPerSecond && (this.#totalBytes - this.#loadedBytes) / bytesPerSecond;
    this.#emit({
      state: 'downloading',
      loadedBytes: this.#loadedBytes,
      totalBytes: this.#totalBytes,
      bytesPerSecond,
      secondsLeft: secondsLeft === 0 ? undefined : secondsLeft,
    });
  }
}
