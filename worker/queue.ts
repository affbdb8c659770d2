import { NearsightError } from '../src/wire/error.ts';

/**
 * First come, first served, one at a time: there is one GPU, and ORT cannot run two things at once.
 */
export class Queue {
  #last: Promise<unknown> = Promise.resolve();
  #pending = 0;

  /** How many wait for their turn; the running one is not counted. */
  get waiting(): number {
    return Math.max(0, this.#pending - 1);
  }

  /**
   * Runs `task` when everything before it has ended. Aborting a waiting task takes it out of the queue at once.
   *
   * @param bound most that may wait; one more is refused
   * @throws NearsightError `queue_full`
   */
  async run<T>(task: () => Promise<T>, signal: AbortSignal, bound = Infinity): Promise<T> {
    if (this.#pending > bound) {
      throw new NearsightError(
        'queue_full',
        `${bound} requests are already waiting for this model (limits.waiting). Try again when one has ended.`,
      );
    }
    this.#pending++;
    const before = this.#last;
    const mine = abortable(before, signal).then(task);
    // Whoever comes next waits for both: a task that left early must not let them overtake the one that runs.
    this.#last = Promise.allSettled([before, mine]);
    try {
      return await mine;
    } finally {
      this.#pending--;
    }
  }
}

function abortable(promise: Promise<unknown>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason);
    if (signal.aborted) return onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    void promise.then(() => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    });
  });
}
