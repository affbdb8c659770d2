import { isNearsightError } from '../../src/protocol/errors.ts';
import { GREEDY } from '../../src/protocol/job.ts';
import type { Decoder, SamplingRequest } from '../generation/decoder.ts';
import { isOutOfMemory } from '../backend/kv-cache.ts';
import { argmax, type SampledToken, CpuSampler } from '../sampling/cpu-sampler.ts';
import { checkDifference, selfTestFailed } from './kernel-mismatch.ts';
import { DECODER_TOLERANCE, LOGPROB_TOLERANCE, SAMPLES, SAMPLES_AFTER_TIE } from './tolerances.ts';

/** Enough rows for the kernels of long prompts, which need 32. */
const ROWS = 48;

/** Rows of a chunk: few enough for the kernels of short prompts. */
const CHUNK_ROWS = 16;

const TOP_LOGPROBS = 3;

/** Parameters that run every kernel of the sampler, and every branch in them. */
const ALL_PARAMETERS = {
  temperature: 1.5,
  topK: 100,
  topP: 0.9,
  minP: 0.01,
  repetitionPenalty: 1.2,
  frequencyPenalty: 0.5,
  presencePenalty: 0.5,
  logitBias: [[1, 1]],
  seed: 1,
} satisfies SamplingRequest['sampling'];

/** A token constraint that allows every other token. */
const EVERY_OTHER = 0x55555555;

/** The part of a decoder that the self-test uses. */
type DecoderUnderTest = Pick<Decoder, 'reset' | 'prefill' | 'step' | 'logits' | 'sample' | 'precision'>;

/**
 * Runs the decoder's shaders, which compiles them, and checks that they agree. A prompt in one chunk, and in small chunks
 * with the last token alone, use different kernels and must give the same logits. Greedy sampling must return the most
 * likely token; sampling with all parameters must return the tokens that the CPU samples.
 *
 * This finds an adapter on which one kernel is wrong. `selfTestLayer` compares with the CPU, in case all are.
 *
 * @throws NearsightError `unsupported_device` on a kernel mismatch
 */
export async function selfTestDecoder(decoder: DecoderUnderTest, vocab: number, signal: AbortSignal): Promise<void> {
  const ids = Int32Array.from({ length: ROWS }, (_, at) => (at * 7919 + 1) % vocab);
  const prefill = (from: number, to: number): Promise<void> => decoder.prefill(ids.subarray(from, to), -1, [], signal);
  await withinMemory(() => decoder.reset(ROWS + 1));
  await prefill(0, ROWS);
  const expected = (await decoder.logits()).slice();
  if (!expected.every(Number.isFinite)) throw selfTestFailed('some logits are not finite numbers');
  // Two tokens, so that the first is embedded and decoded.
  const request = { sampling: { ...GREEDY, seed: 0 }, prompt: ids, choice: 0, topLogprobs: undefined, limit: 2 };
  const sampled: number[] = [];
  for await (const { id } of sample(decoder, request, signal)) sampled.push(id);
  const mostLikely = argmax(expected);
  if (sampled[0] !== mostLikely) {
    throw selfTestFailed(`the most likely token is ${mostLikely}, and ${sampled[0]} was sampled`);
  }
  await testSampling(decoder, ids, expected, signal);
  await decoder.reset(ROWS + 1);
  for (let row = 0; row < ROWS - 1; row += CHUNK_ROWS) await prefill(row, Math.min(row + CHUNK_ROWS, ROWS - 1));
  await decoder.step(ids.at(-1) ?? 0);
  const tolerance = DECODER_TOLERANCE[decoder.precision];
  checkDifference(expected, await decoder.logits(), tolerance, 'logits of one chunk and of several differ');
}

/**
 * A part of a self-test.
 *
 * @throws NearsightError `unsupported_device` when out of memory, instead of `context_length_exceeded`: no request is to
 *   blame, and another device may have the memory
 */
export async function withinMemory<T>(part: () => Promise<T>): Promise<T> {
  try {
    return await part();
  } catch (error) {
    throw isOutOfMemory(error) ? selfTestFailed('it has no memory for keys and values') : error;
  }
}

/** Samples with all parameters after the prompt, and compares with the CPU; one token may differ. */
async function testSampling(
  decoder: DecoderUnderTest,
  prompt: Int32Array,
  logits: Float32Array,
  signal: AbortSignal,
): Promise<void> {
  const mask = new Uint32Array(Math.ceil(logits.length / 32)).fill(EVERY_OTHER);
  const constraint = { mask: () => mask, accept() {} };
  let samples = SAMPLES;
  for (let choice = 0; choice < samples; choice++) {
    const request = { sampling: ALL_PARAMETERS, prompt, choice, topLogprobs: TOP_LOGPROBS, limit: 1, constraint };
    const expected = new CpuSampler(ALL_PARAMETERS, prompt, choice, TOP_LOGPROBS).sample(logits, mask);
    for await (const actual of sample(decoder, request, signal)) {
      if (isSame(actual, expected)) continue;
      if (samples > SAMPLES)
        throw selfTestFailed(`token ${actual.id} or its log probabilities differ from the CPU's token ${expected.id}`);
      samples += SAMPLES_AFTER_TIE;
    }
  }
}

/** Samples, for a test; logits that are not finite, which the sampler reports as an `internal` error, are a kernel mismatch. */
export async function* sample(
  decoder: Pick<Decoder, 'sample'>,
  request: SamplingRequest,
  signal: AbortSignal,
): AsyncGenerator<SampledToken, void> {
  try {
    yield* decoder.sample(request, signal);
  } catch (error) {
    throw isNearsightError(error) && error.code === 'internal' ? selfTestFailed(error.message) : error;
  }
}

/** True if the tokens, the reported top tokens and their log probabilities are the same. */
function isSame(actual: SampledToken, expected: SampledToken): boolean {
  const tokens = [actual, ...(actual.top ?? [])];
  return [expected, ...(expected.top ?? [])].every(({ id, logprob = NaN }, rank) => {
    const token = tokens[rank];
    return token?.id === id && Math.abs((token.logprob ?? NaN) - logprob) <= LOGPROB_TOLERANCE;
  });
}
