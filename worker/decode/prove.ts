import { NearsightError } from '../../src/wire/error.ts';
import { GREEDY } from '../../src/wire/job.ts';
import type { Decoder } from './decoder.ts';
import { argmax } from './sampler.ts';

/** Views in one run at most: beyond four, more of them take memory and no longer save time. */
const MOST_FRAMES = 4;

/**
 * How many views of this edge the vision encoder may be given at once.
 *
 * What grows fastest is the attention of a layer: views x 12 heads x patches², in float32, with patches of 16 pixels.
 * It must fit in one buffer and one binding; on wasm there is nothing to gain, and between views there is a look at the
 * abort signal.
 */
export function framesPerRun(size: number, limits: GPUSupportedLimits | undefined): number {
  if (!limits) return 1;
  const patches = (size / 16) ** 2;
  const bytes = 12 * patches ** 2 * Float32Array.BYTES_PER_ELEMENT;
  const room = Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize);
  return Math.max(1, Math.min(MOST_FRAMES, Math.floor(room / bytes)));
}

/** Enough rows for the kernels that long prompts have; they begin at 32. */
const ROWS = 48;

/** Rows at a time on the other path: few enough for the kernels that short prompts have. */
const FEW_ROWS = 16;

/** How far apart two ways to a result may be, as a share of its range: far above rounding, far below a fault. */
export const TOLERANCE = { float32: 2e-4, float16: 0.03 };

/** The part of a decoder that is tried. */
type Tried = Pick<Decoder, 'reset' | 'prefill' | 'step' | 'logits' | 'draw' | 'precision'>;

/**
 * Compiles the decoder's shaders by using them, and checks them: the same tokens are read at once, and then a few at a
 * time and the last one alone. These are different kernels, which must come to the same logits. Two tokens are drawn, so
 * that one is fed; the first must be the likeliest.
 *
 * It finds an adapter on which one of them is wrong; it could not find one on which all are wrong in the same way.
 *
 * @throws NearsightError `unsupported_device` if they do not agree
 */
export async function proveKernels(decoder: Tried, vocab: number, signal: AbortSignal): Promise<void> {
  const ids = Int32Array.from({ length: ROWS }, (_, at) => (at * 7919 + 1) % vocab);
  const read = (from: number, to: number): Promise<void> => decoder.prefill(ids.subarray(from, to), -1, [], signal);
  decoder.reset(ROWS + 1);
  await read(0, ROWS);
  const atOnce = await decoder.logits();
  if (!atOnce.every(Number.isFinite)) throw mismatch('there are logits that are no numbers');
  const drawing = { sampling: { ...GREEDY, seed: 0 }, prompt: ids, choice: 0, topLogprobs: undefined, limit: 2 };
  const drawn: number[] = [];
  for await (const { id } of decoder.draw(drawing, signal)) drawn.push(id);
  const likeliest = argmax(atOnce);
  if (drawn[0] !== likeliest) throw mismatch(`the likeliest token is ${likeliest}, and ${drawn[0]} was drawn`);
  decoder.reset(ROWS + 1);
  for (let row = 0; row < ROWS - 1; row += FEW_ROWS) await read(row, Math.min(row + FEW_ROWS, ROWS - 1));
  await decoder.step(ids.at(-1) ?? 0);
  const share = furthestApart(atOnce, await decoder.logits());
  // Put so that values that are no numbers do not pass.
  if (share <= TOLERANCE[decoder.precision]) return;
  throw mismatch(`two ways to the same logits differ by ${share.toExponential(1)} of their range`);
}

/** What a proof throws: another variant or device may still be right. */
export function mismatch(words: string): NearsightError {
  return new NearsightError('unsupported_device', words);
}

/** The largest difference between two lists of numbers, as a share of the range of the first. */
export function furthestApart(one: Float32Array, other: Float32Array): number {
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
