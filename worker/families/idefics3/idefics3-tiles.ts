import { resize, type Rgb } from '../../vision/resample.ts';

/** 1/255, with the digits that configs give it. */
export const RESCALE_FACTOR = 0.00392156862745098;

/** How a model wants its pictures cut, from `preprocessor_config.json`. */
export interface ViewSettings {
  /** Edge of a view, in pixels. */
  size: number;
  /** The picture is first scaled (small ones up) so that its longer edge has this many pixels. */
  longestEdge: number;
  /** Whether pictures are cut into tiles when the request does not say. */
  splitting: boolean;
  /** Per channel: values are `(level / 255 - mean) / std`. */
  mean: readonly number[];
  std: readonly number[];
}

/** The tiles of a picture: none when it is read as one view. */
export interface Grid {
  rows: number;
  columns: number;
}

export interface Size {
  width: number;
  height: number;
}

/** How many views a grid gives: its tiles, and always the whole picture. */
export function viewCount({ rows, columns }: Grid): number {
  return rows * columns + 1;
}

/**
 * The tiles into which a picture of this size is cut.
 *
 * Sizes follow the Python `Idefics3ImageProcessorPil` to the pixel, truncation and rounding to even included.
 */
export function gridOf(picture: Size, settings: ViewSettings): Grid {
  const { width, height } = tiledSize(longestEdgeSize(picture, settings.longestEdge), settings.size);
  const rows = height / settings.size;
  const columns = width / settings.size;
  return rows * columns > 1 ? { rows, columns } : { rows: 0, columns: 0 };
}

/**
 * The sizes that a picture is scaled to, one after the other; tiles are cut from the last, and one view is made of it.
 *
 * A picture is always scaled to its longest edge first, even for the one small view of an un-split picture: the
 * reference does, and skipping it gives other pixels.
 */
export function scalesOf(picture: Size, grid: Grid, { size, longestEdge }: ViewSettings): Size[] {
  const scaled = longestEdgeSize(picture, longestEdge);
  return grid.rows > 0 ? [scaled, tiledSize(scaled, size)] : [scaled];
}

/** The views of a picture, one under the other: tiles in reading order, then the whole, each `size` x `size`. */
export function cutViews(picture: Rgb, grid: Grid, settings: ViewSettings): Rgb {
  const { size } = settings;
  let whole = picture;
  for (const { width, height } of scalesOf(picture, grid, settings)) whole = resize(whole, width, height);
  const strip = new Uint8Array(viewCount(grid) * size * size * 3);
  copyTiles(whole, grid, size, strip);
  const view = resize(whole, size, size);
  strip.set(view.data, strip.length - view.data.length);
  return { width: size, height: viewCount(grid) * size, data: strip };
}

/** The float32 values of views, [views, 3, size, size], rounded where the reference rounds. */
export function normalise(views: Rgb, settings: ViewSettings): Float32Array<ArrayBuffer> {
  const { size } = settings;
  const tables = levelTables(settings);
  const area = size * size;
  const count = views.height / size;
  const values = new Float32Array(count * 3 * area);
  for (let channel = 0; channel < 3; channel++) {
    const table = tables[channel]!;
    for (let view = 0; view < count; view++) {
      const to = (view * 3 + channel) * area;
      let from = view * area * 3 + channel;
      for (let i = 0; i < area; i++, from += 3) values[to + i] = table[views.data[from]!]!;
    }
  }
  return values;
}

/** What each of the 256 levels becomes in each channel; every step is rounded to float32, as NumPy does. */
export function levelTables({ mean, std }: ViewSettings): Float32Array<ArrayBuffer>[] {
  const { fround } = Math;
  return [0, 1, 2].map((channel) =>
    Float32Array.from({ length: 256 }, (_, level) =>
      fround(fround(fround(level * RESCALE_FACTOR) - fround(mean[channel]!)) / fround(std[channel]!)),
    ),
  );
}

function copyTiles(image: Rgb, { rows, columns }: Grid, size: number, strip: Uint8Array): void {
  const rowBytes = size * 3;
  let to = 0;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      for (let y = 0; y < size; y++) {
        const from = ((row * size + y) * image.width + column * size) * 3;
        strip.set(image.data.subarray(from, from + rowBytes), to);
        to += rowBytes;
      }
    }
  }
}

/** Longer edge to `edge`; the other truncated, made even, and at least 1. */
function longestEdgeSize({ width, height }: Size, edge: number): Size {
  const aspect = width / height;
  return width >= height
    ? { width: edge, height: Math.max(even(Math.trunc(edge / aspect)), 1) }
    : { width: Math.max(even(Math.trunc(edge * aspect)), 1), height: edge };
}

/** Both edges up to multiples of `tile`, the longer one first; the aspect is kept only roughly. */
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
