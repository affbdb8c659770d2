import type { NearsightError } from '../protocol/errors.ts';
import type { ModelFacts } from '../protocol/calls.ts';

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

/** What {@link createStatus} makes; does not rely on `this`. */
export interface Status {
  readonly value: StatusValue;
  /**
   * Calls back at once and on each change, as Svelte stores, RxJS interop and React's `useSyncExternalStore` expect. What
   * the listener throws is reported as an uncaught error and changes nothing else, at its first call neither.
   *
   * @returns ends the subscription
   */
  subscribe(this: void, listener: (value: StatusValue) => void): () => void;
}

/** An observable state, and what changes it. No class: a proxy, such as Vue's `reactive`, has no private members. */
export function createStatus(): { status: Status; set(this: void, value: StatusValue): void } {
  let current: StatusValue = { state: 'idle' };
  const listeners = new Set<() => void>();
  return {
    status: {
      get value() {
        return current;
      },
      subscribe(listener) {
        // A fresh function each time, so that subscribing the same listener twice needs two undos. It reads the state
        // again, because a listener before it may have changed that, and nobody shall be left with an older one.
        const entry = (): void => {
          try {
            listener(current);
          } catch (error) {
            report(error);
          }
        };
        listeners.add(entry);
        entry();
        return () => void listeners.delete(entry);
      },
    },
    set(value) {
      current = value;
      for (const entry of listeners) entry();
    },
  };
}

/** As the browser reports what an event listener throws; Safari before 15.4 has no name for it. */
function report(error: unknown): void {
  if (typeof reportError === 'function') return reportError(error);
  setTimeout(() => {
    throw error;
  });
}
