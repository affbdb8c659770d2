import { NearsightError } from '../../src/wire/error.ts';
import type { Decoder } from './decoder.ts';

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

/** How far apart the two paths may be, as a share of the logits' spread: far above rounding, far below a fault. */
const TOLERANCE = { float32: 2e-4, float16: 0.03 };

/** The part of a decoder that is tried. */
type Tried = Pick<Decoder, 'reset' | 'prefill' | 'step' | 'logits' | 'precision'>;

/**
 * Compiles the decoder's shaders by using them, and checks them: the same tokens are read at once, and then a few at a
 * time and the last one alone. These are different kernels, which must come to the same logits.
 *
 * It finds an adapter on which one of them is wrong; it could not find one on which all are wrong in the same way.
 *
 * @throws NearsightError `unsupported_device` if they do not agree
 */
export async function proveKernels(decoder: Tried, vocab: number, signal: AbortSignal): Promise<void> {
  const ids = Int32Array.from({ length: ROWS }, (_, at) => (at * 7919 + 1) % vocab);
  const read = (from: number, to: number): Promise<void> => decoder.prefill(ids.subarray(from, to), -1, [], signal);
  decoder.reset(ROWS);
  await read(0, ROWS);
  const atOnce = await decoder.logits();
  decoder.reset(ROWS);
  for (let row = 0; row < ROWS - 1; row += FEW_ROWS) await read(row, Math.min(row + FEW_ROWS, ROWS - 1));
  await decoder.step(ids.at(-1) ?? 0);
  const oneByOne = await decoder.logits();
  const furthest = atOnce.reduce((most, logit, id) => Math.max(most, Math.abs(logit - (oneByOne[id] ?? NaN))), 0);
  const spread = Math.max(...atOnce) - Math.min(...atOnce);
  const share = furthest / spread;
  // Put so that values that are no numbers do not pass.
  if (share <= TOLERANCE[decoder.precision]) return;
  throw new NearsightError(
    'unsupported_device',
    `This GPU or its driver computes the model wrongly: two ways to the same result differ by ${share.toExponential(1)} ` +
      "of its range. Update the driver or the browser, or use device 'wasm'.",
  );
}
