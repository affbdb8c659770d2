import { NearsightError } from '../../src/protocol/errors.ts';
import { GREEDY } from '../../src/protocol/job.ts';
import type { Decoder, SamplingRequest } from '../generation/decoder.ts';
import { isOutOfMemory } from '../backend/kv-cache.ts';
import { argmax, type SampledToken, CpuSampler } from '../sampling/cpu-sampler.ts';

/** Enough rows for the kernels that long prompts have; they begin at 32. */
const ROWS = 48;

/** Rows at a time on the other path: few enough for the kernels that short prompts have. */
const FEW_ROWS = 16;

/**
 * How far apart two ways to a result may be, as a share of its range: far above rounding, far below a fault.
 *
 * A sum of K products in another order is off by about u √K of its size, with u = 2^-24 or 2^-11: for K = 3,072 by 3e-6
 * or 0.03, and results range over some 8 times their size. Measured with software adapters, on one layer: 4e-7 in
 * float32, 1e-3 (logits) to 6e-3 (features) in float16. Graphics cards have coarser `exp` and `tanh`.
 */
export const LAYER_TOLERANCE = { float32: 2e-4, float16: 0.01 };

/** The same after all layers, which add to it. */
const TOLERANCE = { float32: 2e-4, float16: 0.03 };

/** Draws by all rules, and likeliest tokens reported with each. */
const SAMPLES = 2;
/** As many more must be right after one that was not. */
const SAMPLES_AFTER_TIE = 4;
const TOP = 3;
const LOGPROB_TOLERANCE = 1e-3;

/** Each of the sampler's kernels, and each branch in them, has something to do. */
const ALL_RULES = {
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

/** What may come by these rules: every other token. */
const EVERY_OTHER = 0x55555555;

/** The part of a decoder that is tried. */
type DecoderUnderTest = Pick<Decoder, 'reset' | 'prefill' | 'step' | 'logits' | 'sample' | 'precision'>;

/**
 * Compiles the decoder's shaders by using them, and checks them: the same tokens are read at once, and then a few at a
 * time and the last one alone. These are different kernels, which must come to the same logits. Two tokens are drawn, so
 * that one is fed; the first must be the likeliest. Others are drawn by all rules there are, as the CPU draws them.
 *
 * It finds an adapter on which one of them is wrong; that not all are wrong in the same way, `selfTestLayer` has seen.
 *
 * @throws NearsightError `unsupported_device` if they do not agree
 */
export async function selfTestDecoder(decoder: DecoderUnderTest, vocab: number, signal: AbortSignal): Promise<void> {
  const ids = Int32Array.from({ length: ROWS }, (_, at) => (at * 7919 + 1) % vocab);
  const read = (from: number, to: number): Promise<void> => decoder.prefill(ids.subarray(from, to), -1, [], signal);
  await reservePositions(decoder, ROWS + 1);
  await read(0, ROWS);
  const atOnce = await decoder.logits();
  if (!atOnce.every(Number.isFinite)) throw kernelMismatch('there are logits that are no numbers');
  const drawing = { sampling: { ...GREEDY, seed: 0 }, prompt: ids, choice: 0, topLogprobs: undefined, limit: 2 };
  const drawn: number[] = [];
  for await (const { id } of draw(decoder, drawing, signal)) drawn.push(id);
  const likeliest = argmax(atOnce);
  if (drawn[0] !== likeliest) throw kernelMismatch(`the likeliest token is ${likeliest}, and ${drawn[0]} was drawn`);
  await testSamplingRules(decoder, ids, atOnce, signal);
  await decoder.reset(ROWS + 1);
  for (let row = 0; row < ROWS - 1; row += FEW_ROWS) await read(row, Math.min(row + FEW_ROWS, ROWS - 1));
  await decoder.step(ids.at(-1) ?? 0);
  const share = maxRelativeDifference(atOnce, await decoder.logits());
  // Put so that values that are no numbers do not pass.
  if (share <= TOLERANCE[decoder.precision]) return;
  throw kernelMismatch(`two ways to the same logits differ by ${share.toExponential(1)} of their range`);
}

/**
 * Room to prove a decoder in.
 *
 * @throws NearsightError `unsupported_device` where there is none: a request could ask for less, but nobody asked for this,
 *   and another device may have it
 */
export async function reservePositions(decoder: Pick<DecoderUnderTest, 'reset'>, positions: number): Promise<void> {
  try {
    await decoder.reset(positions);
  } catch (error) {
    throw isOutOfMemory(error) ? kernelMismatch('it has no memory for keys and values') : error;
  }
}

/**
 * Draws by all rules, after a prompt that was read. One draw may differ from the CPU's: it can hang on the last digit of
 * two numbers (about one in ten thousand does), and would at every load.
 */
async function testSamplingRules(
  decoder: DecoderUnderTest,
  prompt: Int32Array,
  logits: Float32Array,
  signal: AbortSignal,
): Promise<void> {
  const mask = new Uint32Array(Math.ceil(logits.length / 32)).fill(EVERY_OTHER);
  const constraint = { mask: () => mask, accept() {} };
  let draws = SAMPLES;
  for (let choice = 0; choice < draws; choice++) {
    const drawing = { sampling: ALL_RULES, prompt, choice, topLogprobs: TOP, limit: 1, constraint };
    for await (const seen of draw(decoder, drawing, signal)) {
      const wanted = new CpuSampler(ALL_RULES, prompt, choice, TOP).sample(logits, mask);
      if (isSame(seen, wanted)) continue;
      if (draws > SAMPLES)
        throw kernelMismatch(`by the CPU's rules token ${wanted.id} comes, and ${seen.id} was drawn`);
      draws += SAMPLES_AFTER_TIE;
    }
  }
}

/** Draws. Logits of a step that are no numbers, or that the sampler takes for such, are a finding like any other. */
async function* draw(
  decoder: DecoderUnderTest,
  drawing: SamplingRequest,
  signal: AbortSignal,
): AsyncGenerator<SampledToken, void> {
  try {
    yield* decoder.sample(drawing, signal);
  } catch (error) {
    throw error instanceof NearsightError && error.code === 'internal' ? kernelMismatch(error.message) : error;
  }
}

/** The same token and the same likeliest ones; their probabilities are sums, which differ in their last digits. */
function isSame(seen: SampledToken, wanted: SampledToken): boolean {
  const [one, other] = [seen, wanted].map(({ id, logprob, top = [] }) => [{ id, logprob }, ...top]);
  return (other ?? []).every(({ id, logprob = NaN }, at) => {
    const scored = one?.[at];
    return scored?.id === id && Math.abs((scored.logprob ?? NaN) - logprob) <= LOGPROB_TOLERANCE;
  });
}

/** What a proof throws: another variant or device may still be right. */
export function kernelMismatch(words: string): NearsightError {
  return new NearsightError('unsupported_device', words);
}

/** The largest difference between two lists of numbers, as a share of the range of the first. */
export function maxRelativeDifference(one: Float32Array, other: Float32Array): number {
  let furthest = 0;
  let least = Infinity;
  let most = -Infinity;
  for (const [at, value] of one.entries()) {
    furthest = Math.max(furthest, Math.abs(value - (other[at] ?? NaN)));
    least = Math.min(least, value);
    most = Math.max(most, value);
  }
  return furthest / (most - least);
}
