import type { Decoder } from './decoder.ts';

/** Views in one run at most: beyond four, more of them take memory and no longer save time. */
const MOST_FRAMES = 4;

/**
 * How many views of this edge the vision encoder may be given at once.
 *
 * What grows fastest is the attention of a layer: views x 12 heads x patches², in float32, with patches of 16 pixels.
 * It must fit in one binding; on wasm there is nothing to gain, and between views there is a look at the abort signal.
 */
export function framesPerRun(size: number, limits: GPUSupportedLimits | undefined): number {
  if (!limits) return 1;
  const patches = (size / 16) ** 2;
  const bytes = 12 * patches ** 2 * Float32Array.BYTES_PER_ELEMENT;
  return Math.max(1, Math.min(MOST_FRAMES, Math.floor(limits.maxStorageBufferBindingSize / bytes)));
}

/** From this many rows on, attention and matrices have kernels of their own. */
const PROMPT_ROWS = 32;

/** Compiles the decoder's shaders, those for a prompt and those for a single token, by using them once. */
export async function warmUp(decoder: Decoder, signal: AbortSignal): Promise<void> {
  const ids = new Int32Array(PROMPT_ROWS);
  decoder.reset(ids.length + 1);
  await decoder.prefill(ids, -1, [], signal);
  await decoder.step(0);
}
