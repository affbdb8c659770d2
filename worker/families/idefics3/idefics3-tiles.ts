import type { Size, SplitPlan } from '../../backend/image-splitter.ts';
import { CHANNELS } from '../../vision/cpu-image-splitter.ts';
import { planes } from '../../vision/crop-layout.ts';

/** How the model's images are split, from `preprocessor_config.json`. */
export interface ImageSettings extends Pick<SplitPlan, 'mean' | 'std'> {
  /** Edge of a crop, in pixels. */
  cropSize: number;
  /** The image is first scaled (small ones up) so that its longer edge has this many pixels. */
  longestEdge: number;
  /** Whether images are split into tiles by default. */
  splitting: boolean;
}

/** The tiles of an image; 0 x 0 if it is not split. */
export interface TileGrid {
  rows: number;
  columns: number;
}

export const NO_TILES: TileGrid = { rows: 0, columns: 0 };

/**
 * The tile grid of an image of this size.
 *
 * Sizes follow the Python `Idefics3ImageProcessorPil` to the pixel, truncation and rounding to even included.
 */
export function tileGrid(image: Size, { cropSize, longestEdge }: ImageSettings): TileGrid {
  const { width, height } = tiledSize(longestEdgeSize(image, longestEdge), cropSize);
  const rows = height / cropSize;
  const columns = width / cropSize;
  return rows * columns > 1 ? { rows, columns } : NO_TILES;
}

/**
 * The crops of an image: its tiles in reading order, then the whole image, scaled down to one crop.
 *
 * Like the reference, this always scales an image to its longest edge first, even if it is not split: without that step,
 * pixels would differ.
 */
export function splitPlan(image: Size, { rows, columns }: TileGrid, settings: ImageSettings): SplitPlan {
  const { cropSize, longestEdge, mean, std } = settings;
  const scaled = longestEdgeSize(image, longestEdge);
  const resizes = rows > 0 ? [scaled, tiledSize(scaled, cropSize)] : [scaled];
  const layout = planes(cropSize, cropSize);
  const crops = Array.from({ length: rows * columns }, (_, tile) => ({
    resize: 1,
    left: (tile % columns) * cropSize,
    top: Math.floor(tile / columns) * cropSize,
    layout,
  }));
  crops.push({ resize: resizes.length, left: 0, top: 0, layout });
  resizes.push({ width: cropSize, height: cropSize });
  return { filter: 'lanczos', resizes, crops, cropValues: CHANNELS * cropSize ** 2, mean, std };
}

/** Scales the longer edge to `edge`; the other is truncated, made even, and at least 1. */
function longestEdgeSize({ width, height }: Size, edge: number): Size {
  const aspect = width / height;
  return width >= height
    ? { width: edge, height: Math.max(even(Math.trunc(edge / aspect)), 1) }
    : { width: Math.max(even(Math.trunc(edge * aspect)), 1), height: edge };
}

/** Rounds both edges up to multiples of `tile`, the longer one first; the aspect ratio is kept only roughly. */
function tiledSize({ width, height }: Size, tile: number): Size {
  const aspect = width / height;
  if (width >= height) {
    const w = multiple(width, tile);
    return { width: w, height: multiple(Math.trunc(w / aspect), tile) };
  }
  const h = multiple(height, tile);
  return { width: multiple(Math.trunc(h * aspect), tile), height: h };
}

const even = (n: number): number => n + (n % 2);
const multiple = (n: number, of: number): number => Math.ceil(n / of) * of;
