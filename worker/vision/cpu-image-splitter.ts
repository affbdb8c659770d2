import type { Crop, ImageSplitter, Rgb, SplitPlan } from '../backend/image-splitter.ts';
import { resize } from './resample.ts';

/** 1/255, with the digits that model configs have. */
export const RESCALE_FACTOR = 0.00392156862745098;

/** Red, green and blue. */
export const CHANNELS = 3;

/** Splits images in memory, for wasm. */
export const cpuImageSplitter: ImageSplitter = {
  split(image, { filter, resizes, crops, cropValues, ...levels }) {
    const resized: Rgb[] = [];
    for (const target of resizes) {
      const from = target.ofImage ? undefined : resized.at(-1);
      resized.push(resize(from ?? image, target, filter));
    }
    const tables = levelTables(levels);
    return {
      async batch(first, count) {
        const values = new Float32Array(count * cropValues);
        for (const [at, crop] of crops.slice(first, first + count).entries()) {
          cutOut(resized[crop.resize]!, crop, tables, values.subarray(at * cropValues));
        }
        return values;
      },
      close() {},
    };
  },
};

function cutOut(
  { width, data }: Rgb,
  { left, top, layout }: Crop,
  tables: readonly Float32Array[],
  values: Float32Array,
) {
  const { rows, columns, channelStep, frames, frameStep } = layout;
  for (const [channel, table] of tables.entries()) {
    for (const [y, row] of rows.entries()) {
      let from = ((top + y) * width + left) * CHANNELS + channel;
      for (const column of columns) {
        let to = row + column + channel * channelStep;
        for (let frame = 0; frame < frames; frame++, to += frameStep) values[to] = table[data[from]!]!;
        from += CHANNELS;
      }
    }
  }
}

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
