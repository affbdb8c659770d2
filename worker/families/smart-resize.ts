import type { Size } from '../backend/image-splitter.ts';

/** What a model reads images in. */
export interface SmartSize {
  /** Both edges become multiples of it: the edge of the pixels of one feature row. */
  factor: number;
  minPixels: number;
  maxPixels: number;
}

/**
 * Scales an image to multiples of a factor, within a range of pixels, and keeps its aspect ratio roughly: `smart_resize` of
 * the Python processors, to the pixel.
 *
 * @param least an edge before the range is applied
 */
export function smartResize({ width, height }: Size, { factor, minPixels, maxPixels }: SmartSize, least: number): Size {
  const rounded = (edge: number): number => Math.max(least, roundToEven(edge / factor) * factor);
  const [w, h] = [rounded(width), rounded(height)];
  if (w * h > maxPixels) {
    const shrink = Math.sqrt((height * width) / maxPixels);
    const floor = (edge: number): number => Math.max(factor, Math.floor(edge / shrink / factor) * factor);
    return { width: floor(width), height: floor(height) };
  }
  if (w * h < minPixels) {
    const grow = Math.sqrt(minPixels / (height * width));
    const ceil = (edge: number): number => Math.ceil((edge * grow) / factor) * factor;
    return { width: ceil(width), height: ceil(height) };
  }
  return { width: w, height: h };
}

/** Python's `round`: halves to the even neighbour. */
export function roundToEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  return rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below;
}
