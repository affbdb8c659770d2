import { NearsightError } from '../../src/protocol/errors.ts';
import { GREEDY } from '../../src/protocol/job.ts';
import type { ModelCanary } from '../../src/protocol/model-spec.ts';
import type { Decoder } from '../generation/decoder.ts';
import { sample, withinMemory } from './decoder-self-test.ts';

/** Where every device gives another answer than the canary's, it is not the devices that are wrong. */
export class CanaryMismatch extends NearsightError {}

/**
 * Answers the prompt whose answer is known. Unlike the other tests it also finds what is wrong in the same way on GPU and
 * CPU, such as a graph that is run as another family's.
 *
 * @throws CanaryMismatch `unsupported_device` if the tokens are others
 */
export async function selfTestCanary(
  decoder: Pick<Decoder, 'reset' | 'prefill' | 'sample'>,
  { prompt, tokens }: ModelCanary,
  vocab: number,
  signal: AbortSignal,
): Promise<void> {
  if (![...prompt, ...tokens].every((id) => id < vocab)) {
    throw new NearsightError('load_failed', `The canary has a token that the vocabulary of ${vocab} lacks.`);
  }
  const ids = Int32Array.from(prompt);
  const sampling = { ...GREEDY, seed: 0 };
  const request = { sampling, prompt: ids, choice: 0, topLogprobs: undefined, limit: tokens.length };
  const sampled: number[] = [];
  await withinMemory(async () => {
    await decoder.reset(prompt.length + tokens.length);
    await decoder.prefill(ids, -1, [], signal);
    for await (const { id } of sample(decoder, request, signal)) sampled.push(id);
  });
  const at = sampled.findIndex((id, index) => id !== tokens[index]);
  if (at < 0) return;
  const message = `the canary's token ${at} is ${tokens[at]}, and ${sampled[at]} was sampled`;
  throw new CanaryMismatch('unsupported_device', message);
}
