import type { Size } from '../../backend/image-splitter.ts';
import type { ConfigReader } from '../../families/config-reader.ts';

/** What a config says, by field. */
export type Settings = Readonly<Record<string, unknown>>;

/** How the config of an image processor limits the size of its images: in pixels, or by the longest edge. */
export interface SizeLimit {
  /** The config's own limit. */
  own: number;
  /** The limit with which an image gets at most so many rows of features. */
  limitFor(image: Size, rows: number): number;
  /** The settings that set this limit. */
  settings(limit: number): Settings;
}

/** Classes whose images have as many rows as they have squares of some pixels; others scale all to one size. */
const SIZE_LIMITS: Readonly<Record<string, (config: ConfigReader) => SizeLimit>> = {
  Glm46VImageProcessor(config) {
    const square = (config.count('patch_size') * config.count('merge_size')) ** 2;
    // Of all frames that one patch has.
    const pixels = square * config.count('temporal_patch_size', 2);
    const least = config.count('min_pixels', config.count('size.shortest_edge', 1));
    return {
      own: config.count('max_pixels', config.count('size.longest_edge', Number.MAX_SAFE_INTEGER)),
      limitFor: (_image, rows) => Math.max(least, rows * pixels),
      settings: (limit) => ({ max_pixels: limit }),
    };
  },
  PixtralImageProcessor(config) {
    const square = config.count('patch_size') * config.count('spatial_merge_size');
    return {
      own: config.count('size.longest_edge'),
      limitFor({ width, height }, rows) {
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

/** The limit of an image processor's class; undefined if it scales all images to one size, or is not known. */
export function sizeLimitOf(type: unknown, config: ConfigReader): SizeLimit | undefined {
  return typeof type === 'string' ? SIZE_LIMITS[type.replace(/Fast$/, '')]?.(config) : undefined;
}
