import { race } from '../src/async/race.ts';
import { NearsightError } from '../src/protocol/errors.ts';

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
    const mine = race(before, signal).then(task);
    // The next task waits for both: one that left early must not let it overtake the one that runs. What they settled to is
    // dropped, or each promise would keep the results of all tasks before it.
    this.#last = Promise.allSettled([before, mine]).then(() => {});
    try {
      return await mine;
    } finally {
      this.#pending--;
    }
  }
}
