import { namedInputs } from '../../../worker/families/idefics3/idefics3-inputs.ts';
import type { PromptImage } from '../../../worker/vision/vision-inputs.ts';

/** An image of which only the values of its crops are known: it can be encoded, and not split again. */
export function imageOfValues(
  { key, crops, tokens }: Pick<PromptImage, 'key' | 'crops' | 'tokens'>,
  size: number,
  values: Float32Array<ArrayBuffer>,
): PromptImage {
  const length = 3 * size ** 2;
  return {
    key,
    crops,
    tokens,
    open: async () => ({
      batch: async (first, count) =>
        namedInputs(values.subarray(first * length, (first + count) * length), count, size),
      close() {},
    }),
  };
}
