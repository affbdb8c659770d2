import type { ImageSplitter, Rgb, SplitPlan } from '../backend/image-splitter.ts';
import { resize } from './resample.ts';

/** 1/255, with the digits that model configs have. */
export const RESCALE_FACTOR = 0.00392156862745098;

/** Red, green and blue. */
export const CHANNELS = 3;

/** Splits images in memory, for wasm. */
export const cpuImageSplitter: ImageSplitter = {
  split(image, plan) {
    const resized: Rgb[] = [];
    for (const { width, height } of plan.resizes) resized.push(resize(resized.at(-1) ?? image, width, height));
    const tables = levelTables(plan);
    const { cropSize } = plan;
    return {
      async batch(first, count) {
        const values = new Float32Array(count * CHANNELS * cropSize ** 2);
        let to = 0;
        for (const { resize: index, left, top } of plan.crops.slice(first, first + count)) {
          const { width, data } = resized[index]!;
          for (const [channel, table] of tables.entries()) {
            for (let y = top; y < top + cropSize; y++) {
              let from = (y * width + left) * CHANNELS + channel;
              for (let x = 0; x < cropSize; x++, from += CHANNELS) values[to++] = table[data[from]!]!;
            }
          }
        }
        return values;
      },
      close() {},
    };
  },
};

/** Of a channel. */
export const LEVELS = 256;

/** The value of each level in each channel; every step is rounded to float32, as NumPy does. */
export function levelTables({ mean, std }: Pick<SplitPlan, 'mean' | 'std'>): Float32Array<ArrayBuffer>[] {
  const { fround } = Math;
  return Array.from({ length: CHANNELS }, (_, channel) =>
    Float32Array.from({ length: LEVELS }, (_level, level) =>
      fround(fround(fround(level * RESCALE_FACTOR) - fround(mean[channel]!)) / fround(std[channel]!)),
    ),
  );
}
