import type { Size } from '../../backend/image-splitter.ts';
import type { ConfigReader } from '../../families/config-reader.ts';

/** What a config says, by field. */
export type Settings = Readonly<Record<string, unknown>>;

/** How the images of a class can be kept small, in its own measure: pixels, or the longest edge. */
export interface Measure {
  /** What its config allows. */
  own: number;
  /** What an image may have so that it gets at most so many rows of features. */
  most(image: Size, rows: number): number;
  /** The settings that ask for it. */
  settings(limit: number): Settings;
}

/** Classes whose images have as many rows as they have squares of some pixels; others scale all to one size. */
const MEASURES: Readonly<Record<string, (config: ConfigReader) => Measure>> = {
  Glm46VImageProcessor(config) {
    const square = (config.count('patch_size') * config.count('merge_size')) ** 2;
    // Of all frames that one patch has.
    const pixels = square * config.count('temporal_patch_size', 2);
    const least = config.count('min_pixels', config.count('size.shortest_edge', 1));
    return {
      own: config.count('max_pixels', config.count('size.longest_edge', Number.MAX_SAFE_INTEGER)),
      most: (_image, rows) => Math.max(least, rows * pixels),
      settings: (limit) => ({ max_pixels: limit }),
    };
  },
  PixtralImageProcessor(config) {
    const square = config.count('patch_size') * config.count('spatial_merge_size');
    return {
      own: config.count('size.longest_edge'),
      most({ width, height }, rows) {
        const longest = Math.max(width, height);
        const squares = (edge: number, limit: number): number =>
          Math.ceil(Math.floor(edge / (longest / limit)) / square);
        let limit = Math.ceil(longest * Math.sqrt((rows * square ** 2) / (width * height)));
        // Edges are rounded up to whole squares.
        while (limit > 1 && squares(width, limit) * squares(height, limit) > rows) limit--;
        // Smaller images stay as they are.
        return limit < longest ? limit : Infinity;
      },
      settings: (limit) => ({ size: { longest_edge: limit } }),
    };
  },
};

/** The measure of a class; undefined if its images all have the same size, or it is not known. */
export function measureOf(type: unknown, config: ConfigReader): Measure | undefined {
  return typeof type === 'string' ? MEASURES[type.replace(/Fast$/, '')]?.(config) : undefined;
}
