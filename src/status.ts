import type { NearsightError } from './wire/error.ts';
import type { ModelFacts } from './wire/runtime.ts';

/** What nearsight is doing, as a discriminated union. */
export type StatusValue =
  /** Nothing is loaded; nothing has been started. */
  | { state: 'idle' }
  /** Fetching and checking files: bytes so far, of all that this device needs. */
  | { state: 'downloading'; loadedBytes: number; totalBytes: number }
  /** Opening files that are here and compiling shaders, while the next is on its way: `done` of `of` steps. */
  | { state: 'preparing'; done: number; of: number }
  /** Ready, with `active` requests running or waiting. */
  | { state: 'ready'; facts: ModelFacts; active: number }
  /** The last load failed, or the model was lost. The next request tries again. */
  | { state: 'failed'; error: NearsightError }
  | { state: 'disposed' };

/**
 * An observable state. `subscribe` has the shape that Svelte stores, RxJS interop and React's `useSyncExternalStore`
 * expect: it calls back at once and on each change, and returns its own undo.
 */
export class Status {
  #value: StatusValue = { state: 'idle' };
  readonly #listeners = new Set<(value: StatusValue) => void>();

  get value(): StatusValue {
    return this.#value;
  }

  /** @returns a function that ends the subscription */
  subscribe(listener: (value: StatusValue) => void): () => void {
    // A fresh function each time, so that subscribing the same listener twice needs two undos.
    const entry = (value: StatusValue): void => listener(value);
    this.#listeners.add(entry);
    entry(this.#value);
    return () => void this.#listeners.delete(entry);
  }

  /** @internal */
  set(value: StatusValue): void {
    this.#value = value;
    for (const listener of this.#listeners) listener(value);
  }
}
