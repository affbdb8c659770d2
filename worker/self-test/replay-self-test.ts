import { isNearsightError } from '../../src/protocol/errors.ts';
import type { Decoder } from '../generation/decoder.ts';
import { withinMemory } from './decoder-self-test.ts';
import { maxRelativeDifference } from './kernel-mismatch.ts';
import { DECODER_TOLERANCE } from './tolerances.ts';

/** How many rows are read before a step that is compared. */
const POSITIONS = [16, 33];

/** More than the buffers of the first comparisons hold. */
const MORE_POSITIONS = 300;

type DecoderUnderTest = Pick<Decoder, 'reset' | 'prefill' | 'step' | 'logits' | 'precision' | 'length'>;

/**
 * Why captured steps cannot be used; undefined if they can.
 *
 * @throws NearsightError `unsupported_device` if there is no memory for the keys and values; the signal's reason
 */
export async function replayFailure(
  decoder: DecoderUnderTest,
  vocab: number,
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    const isRight = await withinMemory(() => replaysRight(decoder, vocab, signal));
    return isRight ? undefined : 'a replayed one gave other logits';
  } catch (error) {
    signal.throwIfAborted();
    if (isNearsightError(error)) throw error;
    return String(error);
  }
}

/**
 * Whether steps that are captured and replayed give the logits of the same row read as a prompt of one, which is never
 * replayed: at two positions, and with other buffers.
 */
async function replaysRight(decoder: DecoderUnderTest, vocab: number, signal: AbortSignal): Promise<boolean> {
  const ids = Int32Array.from({ length: MORE_POSITIONS }, (_, at) => (at * 7919 + 1) % vocab);
  const read = (to: number): Promise<void> => decoder.prefill(ids.subarray(decoder.length, to), -1, [], signal);
  const isRight = async (at: number, reserved: number): Promise<boolean> => {
    const replayed: Float32Array[] = [];
    // The first is captured.
    for (let step = 0; step < 2; step++) {
      await decoder.reset(reserved, at);
      await decoder.step(ids[at] ?? 0);
      replayed.push(await decoder.logits());
    }
    await decoder.reset(reserved, at);
    await read(at + 1);
    const expected = await decoder.logits();
    return replayed.every((logits) => maxRelativeDifference(expected, logits) <= DECODER_TOLERANCE[decoder.precision]);
  };
  const last = POSITIONS.at(-1) ?? 0;
  await decoder.reset(last + 1);
  for (const at of POSITIONS) {
    await read(at);
    if (!(await isRight(at, last + 1))) return false;
  }
  return isRight(last, MORE_POSITIONS);
}
