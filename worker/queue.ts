import { race } from '../src/async/race.ts';
import { NearsightError } from '../src/protocol/errors.ts';

/** First come, first served, one at a time: there is one GPU, and ORT cannot run two sessions at once. */
export class Queue {
  #last: Promise<unknown> = Promise.resolve();
  /** Requests that wait or run. */
  #requests = 0;

  /** How many requests wait for another one. */
  get waiting(): number {
    return Math.max(0, this.#requests - 1);
  }

  /**
   * Runs `task` when everything before it has ended. Aborting a waiting task takes it out of the queue at once.
   *
   * @param maxWaiting how many requests may wait for another one; one more is refused. Absent: the task is no request, and not counted
   * @throws NearsightError `queue_full`
   */
  async run<T>(task: () => Promise<T>, signal: AbortSignal, maxWaiting?: number): Promise<T> {
    const counted = maxWaiting === undefined ? 0 : 1;
    if (maxWaiting !== undefined && this.#requests > maxWaiting) {
      throw new NearsightError(
        'queue_full',
        `${maxWaiting} requests are already waiting for this model (limits.waiting). Try again when one has ended.`,
      );
    }
    this.#requests += counted;
    const before = this.#last;
    const result = race(before, signal).then(task);
    // The next task waits for both: a task aborted while waiting must not let the next one start before the running one
    // ends. The results are dropped, or each promise would keep those of all tasks before it.
    this.#last = Promise.allSettled([before, result]).then(() => {});
    try {
      return await result;
    } finally {
      this.#requests -= counted;
    }
  }
}
