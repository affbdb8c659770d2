import type { EncoderInputs, NamedTensors } from '../../vision/vision-inputs.ts';

/** The vision encoder's inputs for crops of this size. */
export function namedInputs<Pixels>(pixels: Pixels, count: number, size: number): NamedTensors<Pixels | Uint8Array> {
  // All set: the reference pads only to batch images with different numbers of crops.
  const mask = new Uint8Array(count * size * size).fill(1);
  return {
    pixel_values: { type: 'float32', dims: [1, count, 3, size, size], data: pixels },
    pixel_attention_mask: { type: 'bool', dims: [1, count, size, size], data: mask },
  };
}

/** @param size edge of a crop, in pixels */
export function encoderInputs(size: number, activationBytesPerCrop: number): EncoderInputs {
  return {
    example: (count, fill) => namedInputs(fill(count * 3 * size * size), count, size),
    constant: ['pixel_attention_mask'],
    activationBytesPerCrop,
  };
}
