import type { Resize, SplitPlan } from '../backend/image-splitter.ts';
import { CHANNELS } from '../vision/cpu-image-splitter.ts';
import { planes } from '../vision/crop-layout.ts';
import type { EncoderInputs, NamedTensors } from '../vision/vision-inputs.ts';

/** A plan of one crop, which is all of what is resized, in planes. */
export function wholeImagePlan(target: Resize, levels: Pick<SplitPlan, 'filter' | 'mean' | 'std'>): SplitPlan {
  const { width, height } = target.part ?? target;
  const crops = [{ resize: 0, left: 0, top: 0, layout: planes(width, height) }];
  return { ...levels, resizes: [target], crops, cropValues: CHANNELS * width * height };
}

/** The inputs of an encoder that reads square images. */
export function squareInputs<Pixels>(pixels: Pixels, count: number, size: number): NamedTensors<Pixels> {
  return { pixel_values: { type: 'float32', dims: [count, CHANNELS, size, size], data: pixels } };
}

export function squareEncoder(size: number, activationBytesPerCrop: number): EncoderInputs {
  return {
    example: (count, fill) => squareInputs(fill(count * CHANNELS * size * size), count, size),
    constant: [],
    activationBytesPerCrop,
  };
}
