import { race } from './race.ts';

/** A failure after which the same attempt may succeed. */
export class RetryableFailure extends Error {
  /** What the caller gets if no further attempt is made. */
  readonly error: Error;
  /** Milliseconds that the other side asks to wait. */
  readonly retryAfter: number | undefined;

  constructor(error: Error, retryAfter?: number) {
    super(error.message);
    this.error = error;
    this.retryAfter = retryAfter;
  }
}

/** Repeats an attempt that fails, with growing pauses. */
export class Retries {
  readonly #maxFailures: number;
  readonly #maxWaitMs: number;
  #failures = 0;

  /**
   * @param maxFailures in a row, after which the last failure is thrown
   * @param maxWaitMs if the other side asks to wait longer, the failure is thrown at once
   */
  constructor(maxFailures: number, maxWaitMs: number) {
    this.#maxFailures = maxFailures;
    this.#maxWaitMs = maxWaitMs;
  }

  /** Runs the attempt until it succeeds, or fails for good. @throws the attempt's error, or the signal's reason */
  async run<T>(attempt: () => Promise<T>, signal: AbortSignal): Promise<T> {
    for (;;) {
      try {
        return await attempt();
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof RetryableFailure)) throw error;
        await this.#wait(error, signal);
      }
    }
  }

  /** Part of an attempt has succeeded: earlier failures no longer count. */
  reset(): void {
    this.#failures = 0;
  }

  async #wait({ error, retryAfter }: RetryableFailure, signal: AbortSignal): Promise<void> {
    if (++this.#failures >= this.#maxFailures || (retryAfter ?? 0) > this.#maxWaitMs) throw error;
    const wait = retryAfter ?? 250 * 2 ** this.#failures * (0.5 + Math.random());
    await race(new Promise((resolve) => setTimeout(resolve, wait)), signal);
  }
}

/** The header `retry-after`, seconds or a date, in milliseconds from now. */
export function retryAfterOf(headers: Headers): number | undefined {
  const value = headers.get('retry-after');
  if (value === null) return undefined;
  const seconds = Number(value);
  const wait = Number.isNaN(seconds) ? Date.parse(value) - Date.now() : seconds * 1000;
  return Number.isNaN(wait) ? undefined : Math.max(0, wait);
}
