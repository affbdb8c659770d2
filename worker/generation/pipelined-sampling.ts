import { race } from '../../src/async/race.ts';
import { yieldToEvents } from '../../src/async/yield-to-events.ts';
import type { TokenReadback } from '../backend/token-readback.ts';
import type { AnswerSampler } from '../backend/token-sampler.ts';
import type { SampledToken } from '../sampling/cpu-sampler.ts';
import type { SamplingRequest } from './decoder.ts';
import type { ReadbackScheduler } from './readback-scheduler.ts';

/** Sampled tokens [from, to) of an answer, read back together. */
export interface BatchRange {
  from: number;
  to: number;
}

/** The decoder's side of the loop. */
export interface PipelinedSteps {
  /** Submits the sampling of a token, its embedding if a step follows, and the readback of a batch if it is complete. */
  submitSampling(sampler: AnswerSampler, mask: Uint32Array | undefined, stepFollows: boolean, batch?: BatchRange): void;
  /** Submits a step that reads the token sampled last. */
  runStep(): Promise<void>;
}

/**
 * Submits sampling passes and the steps between them before earlier tokens are read back, as far as the scheduler allows.
 *
 * With a constraint whose masks depend on earlier tokens, a sampling waits for the token before it. The step that reads that
 * token does not wait, so the mask is computed while the GPU works.
 *
 * @param scheduler absent: one token is in flight, as such a constraint needs it
 * @param onEnd called with the number of tokens read back, whether the answer is complete, left or failed
 */
export async function* samplePipelined(
  steps: PipelinedSteps,
  readback: TokenReadback,
  sampler: AnswerSampler,
  scheduler: ReadbackScheduler | undefined,
  { limit, constraint }: Pick<SamplingRequest, 'limit' | 'constraint'>,
  onEnd: (read: number) => void,
  signal: AbortSignal,
): AsyncGenerator<SampledToken, void> {
  const words = sampler.entryBytes / 4;
  let submitted = 0;
  let sent = 0;
  let read = 0;
  let waited = false;
  scheduler?.begin();
  try {
    while (read < limit) {
      const { maxInFlight = 1, batchSize = 1 } = scheduler ?? {};
      const maySubmit = submitted - read < maxInFlight || readback.pending === 0;
      if (submitted < limit && readback.hasFreeBuffer && maySubmit) {
        await yieldToEvents(signal);
        submitted++;
        const complete = submitted - sent >= batchSize || submitted === limit || submitted - read >= maxInFlight;
        const batch = complete ? { from: sent, to: submitted } : undefined;
        steps.submitSampling(sampler, constraint?.mask(submitted - 1), submitted < limit, batch);
        if (complete) {
          sent = submitted;
          scheduler?.sent();
        }
        if (submitted < limit) await steps.runStep();
        waited = false;
      } else {
        await race(readback.oldest(), signal);
        waited = submitted < limit;
      }
      for (let batch = readback.take(); batch; batch = readback.take()) {
        scheduler?.received(batch.length / words, performance.now());
        for (let at = 0; at < batch.length; at += words) {
          signal.throwIfAborted();
          read++;
          const token = sampler.read(batch.subarray(at, at + words));
          constraint?.accept(token.id);
          yield token;
        }
      }
      if (waited && read === submitted) scheduler?.reportIdle();
    }
  } finally {
    readback.abandon();
    onEnd(read);
  }
}
