import { isYieldDue, yieldToEvents } from '../../src/async/yield-to-events.ts';
import { type SampledToken, CpuSampler } from '../sampling/cpu-sampler.ts';
import type { Decoder, SamplingRequest } from './decoder.ts';

/** Reads the logits after each step and samples on the CPU. */
export async function* sampleOnCpu(
  decoder: Pick<Decoder, 'logits' | 'step' | 'read'>,
  { sampling, prompt, choice, topLogprobs, limit, constraint }: SamplingRequest,
  signal: AbortSignal,
): AsyncGenerator<SampledToken, void> {
  const sampler = new CpuSampler(sampling, prompt, choice, topLogprobs);
  const unread: number[] = [];
  for (let count = 0; count < limit;) {
    // They would have no log probabilities.
    const forced = (topLogprobs === undefined && constraint?.forced?.()) || [];
    for (const id of forced.slice(0, limit - count)) {
      signal.throwIfAborted();
      constraint?.accept(id);
      sampler.count(id);
      unread.push(id);
      count++;
      yield { id };
    }
    if (count === limit) return;
    if (forced.length > 0) continue;
    if (isYieldDue()) await yieldToEvents(signal);
    else signal.throwIfAborted();
    const [last, ...more] = unread.splice(0);
    if (last !== undefined && more.length === 0) await decoder.step(last);
    else if (last !== undefined) await decoder.read(Int32Array.of(last, ...more), signal);
    const token = sampler.sample(await decoder.logits(), constraint?.mask(count));
    constraint?.accept(token.id);
    unread.push(token.id);
    count++;
    yield token;
  }
}
