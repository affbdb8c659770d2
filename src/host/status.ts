import type { NearsightError } from '../protocol/errors.ts';
import type { LoadState, ModelFacts } from '../protocol/calls.ts';

/** What nearsight is doing, as a discriminated union. */
export type StatusValue =
  /** Nothing is loaded; nothing has been started. */
  | { state: 'idle' }
  | LoadState
  /** Ready, with `active` requests running or waiting. */
  | { state: 'ready'; facts: ModelFacts; active: number }
  /** The last load failed, or the model was lost. The next request tries again. */
  | { state: 'failed'; error: NearsightError }
  | { state: 'disposed' };

/** The current state, to read and to follow; does not rely on `this`. */
export interface Status {
  readonly value: StatusValue;
  /**
   * Calls back at once and on each change, as Svelte stores, RxJS interop and React's `useSyncExternalStore` expect. An
   * error that the listener throws is reported as an uncaught error and has no other effect.
   *
   * @returns ends the subscription
   */
  subscribe(this: void, listener: (value: StatusValue) => void): () => void;
}

/** An observable state and its setter. Not a class: a proxy, such as Vue's `reactive`, cannot read private members. */
export function createStatus(): { status: Status; set(this: void, value: StatusValue): void } {
  let current: StatusValue = { state: 'idle' };
  const listeners = new Set<() => void>();
  return {
    status: {
      get value() {
        return current;
      },
      subscribe(listener) {
        // A new function each time, so that one function that is subscribed twice can be unsubscribed twice. It reads
        // `current`, because an earlier listener may have changed it, and every listener must see the newest state last.
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
      // A copy: a listener that is added meanwhile has been called with this state already.
      for (const entry of new Set(listeners)) entry();
    },
  };
}

/** Reports as the browser does for an event listener. Safari before 15.4 has no `reportError`. */
function report(error: unknown): void {
  if (typeof reportError === 'function') return reportError(error);
  setTimeout(() => {
    throw error;
  });
}
