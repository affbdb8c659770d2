import { yieldToEvents } from '../../src/async/yield-to-events.ts';
import { type SampledToken, CpuSampler } from '../sampling/cpu-sampler.ts';
import type { Decoder, SamplingRequest } from './decoder.ts';

/** Reads the logits after each step and samples on the CPU. */
export async function* sampleOnCpu(
  decoder: Pick<Decoder, 'logits' | 'step'>,
  { sampling, prompt, choice, topLogprobs, limit, constraint }: SamplingRequest,
  signal: AbortSignal,
): AsyncGenerator<SampledToken, void> {
  const sampler = new CpuSampler(sampling, prompt, choice, topLogprobs);
  for (let count = 1; ; count++) {
    await yieldToEvents(signal);
    const token = sampler.sample(await decoder.logits(), constraint?.mask(count - 1));
    constraint?.accept(token.id);
    yield token;
    if (count === limit) return;
    await decoder.step(token.id);
  }
}
