import { race } from '../../src/async/race.ts';
import { isYieldDue, yieldToEvents } from '../../src/async/yield-to-events.ts';
import type { KvCache } from '../backend/kv-cache.ts';
import type { TokenReadback } from '../backend/token-readback.ts';
import type { AnswerSampler } from '../backend/token-sampler.ts';
import type { SampledToken } from '../sampling/cpu-sampler.ts';
import type { SamplingRequest } from './decoder.ts';
import { Guide } from './guide.ts';
import type { ReadbackScheduler } from './readback-scheduler.ts';

/** Sampled tokens [from, to) of an answer, read back together. */
export interface BatchRange {
  from: number;
  to: number;
}

/** The decoder's side of the loop. */
export interface PipelinedSteps {
  /** Beyond its capacity, steps need more memory. */
  readonly kv: Pick<KvCache, 'length' | 'capacity'>;
  /** Submits the sampling of a token, its embedding if a step follows, and the readback of a batch if it is complete. */
  submitSampling(sampler: AnswerSampler, mask: Uint32Array | undefined, stepFollows: boolean, batch?: BatchRange): void;
  /** Submits a step that reads the token sampled last. */
  runStep(): Promise<void>;
  /**
   * Drops what was submitted for later tokens, and goes on after these of the answer.
   *
   * @param unread how many of them, at the end, are to be read (again)
   */
  restart(sampler: AnswerSampler, tokens: readonly number[], unread: number, signal: AbortSignal): Promise<void>;
}

/** Where a constraint's mask has to wait for the token before it. */
const ONE_BY_ONE = { maxInFlight: 1, batchSize: 1 };

/** What the loop works with. */
export interface PipelinedParts {
  steps: PipelinedSteps;
  readback: TokenReadback;
  sampler: AnswerSampler;
  scheduler: ReadbackScheduler;
}

/**
 * One answer: submits sampling passes and the steps between them before earlier tokens are read back, as far as the
 * scheduler and the guide allow.
 */
export class PipelinedAnswer {
  readonly #parts: PipelinedParts;
  readonly #limit: number;
  readonly #guide: Guide;
  readonly #tokens: number[] = [];
  /** How many of them the consumer has. */
  #yielded = 0;
  /** How many samplings were submitted, and how many of them are in batches on their way back. */
  #submitted = 0;
  #sent = 0;
  /** The step after the last sampling waits until it is known to be needed: it takes memory, or fails for want of it. */
  #isStepDue = false;

  constructor(parts: PipelinedParts, request: SamplingRequest) {
    this.#parts = parts;
    this.#limit = request.limit;
    this.#guide = new Guide(request);
  }

  /** @param onEnd called with the number of tokens in the answer, whether it is complete, left or failed */
  async *sample(onEnd: (tokens: number) => void, signal: AbortSignal): AsyncGenerator<SampledToken, void> {
    const { readback, scheduler } = this.#parts;
    let waited = false;
    scheduler.begin();
    try {
      while (this.#tokens.length < this.#limit) {
        if (this.#isForced) yield* this.#forced(signal);
        if (this.#tokens.length === this.#limit) return;
        if (this.#maySubmit()) {
          if (isYieldDue()) await yieldToEvents(signal);
          else signal.throwIfAborted();
          await this.#submit();
          waited = false;
        } else {
          await race(readback.oldest(), signal);
          waited = this.#submitted < this.#limit && !this.#isStepDue;
        }
        const batch = readback.take();
        const restarted = batch !== undefined && (yield* this.#received(batch, signal));
        const isIdle = waited && !restarted && this.#tokens.length === this.#submitted;
        if (isIdle && !this.#guide.waits) scheduler.reportIdle();
      }
    } finally {
      readback.abandon();
      onEnd(this.#yielded);
    }
  }

  get #batching(): Pick<ReadbackScheduler, 'maxInFlight' | 'batchSize'> {
    return this.#guide.waits ? ONE_BY_ONE : this.#parts.scheduler;
  }

  #maySubmit(): boolean {
    const { readback } = this.#parts;
    const inFlight = this.#submitted - this.#tokens.length;
    if (this.#isStepDue) return inFlight === 0;
    const isNear = inFlight < this.#batching.maxInFlight || readback.pending === 0;
    return this.#submitted < this.#limit && readback.hasFreeBuffer && isNear;
  }

  /**
   * Submits a sampling, and the step that reads its token. That does not wait, so the mask of the next token is computed
   * while the GPU works.
   */
  async #submit(): Promise<void> {
    const { steps, sampler, scheduler } = this.#parts;
    if (this.#isStepDue) {
      await steps.runStep();
      this.#isStepDue = false;
    }
    const { maxInFlight, batchSize } = this.#batching;
    const mask = this.#guide.maskFor(this.#submitted);
    this.#submitted++;
    const isLast = this.#submitted === this.#limit;
    const inFlight = this.#submitted - this.#tokens.length;
    this.#isStepDue = !isLast && steps.kv.length === steps.kv.capacity;
    const complete = this.#submitted - this.#sent >= batchSize || isLast || inFlight >= maxInFlight || this.#isStepDue;
    const batch = complete ? { from: this.#sent, to: this.#submitted } : undefined;
    steps.submitSampling(sampler, mask, !isLast, batch);
    if (complete) {
      this.#sent = this.#submitted;
      if (!this.#guide.waits) scheduler.sent();
    }
    if (!isLast && !this.#isStepDue) await steps.runStep();
  }

  /** The tokens that have come back, from this batch on. @returns whether the loop went back after one of them */
  async *#received(first: Uint32Array, signal: AbortSignal): AsyncGenerator<SampledToken, boolean> {
    const { readback, sampler, scheduler } = this.#parts;
    const words = sampler.entryBytes / 4;
    for (let batch: Uint32Array | undefined = first; batch; batch = readback.take()) {
      if (!this.#guide.waits) scheduler.received(batch.length / words, performance.now());
      for (let at = 0; at < batch.length; at += words) {
        signal.throwIfAborted();
        const token = sampler.read(batch.subarray(at, at + words));
        // What is in flight follows a token that cannot come.
        if (!this.#guide.accept(token.id)) {
          await this.#restart(Math.min(1, this.#tokens.length), signal);
          return true;
        }
        this.#tokens.push(token.id);
        this.#yielded++;
        yield token;
      }
    }
    return false;
  }

  /** Whether more tokens need no sampling than there are samplings in flight. */
  get #isForced(): boolean {
    return this.#guide.expected.length > this.#submitted - this.#tokens.length;
  }

  /** Tokens that need no sampling. */
  async *#forced(signal: AbortSignal): AsyncGenerator<SampledToken, void> {
    const forced = this.#guide.takeExpected(this.#limit - this.#tokens.length);
    this.#tokens.push(...forced);
    // Read first: what was in flight must not outlive the answer, wherever it ends.
    await this.#restart(forced.length, signal);
    for (const id of forced) {
      signal.throwIfAborted();
      this.#yielded++;
      yield { id };
    }
  }

  async #restart(unread: number, signal: AbortSignal): Promise<void> {
    const { steps, readback, sampler } = this.#parts;
    readback.abandon();
    this.#submitted = this.#sent = this.#tokens.length;
    this.#isStepDue = false;
    await steps.restart(sampler, this.#tokens, unread, signal);
  }
}
