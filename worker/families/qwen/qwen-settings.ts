import type { Size, SplitPlan } from '../../backend/image-splitter.ts';
import type { IdentifiedImage } from '../../vision/image-cache.ts';
import { CHANNELS } from '../../vision/cpu-image-splitter.ts';
import { patchLayout } from '../../vision/patch-layout.ts';
import { unreadableImage } from '../../vision/unreadable-image.ts';
import type { ConfigReader } from '../config-reader.ts';
import { readLevels } from '../preprocessor-config.ts';
import { smartResize } from '../smart-resize.ts';

/** CLIP's, which the reference takes where the config has none. */
const ABSENT = {
  filter: 'bicubic',
  mean: [0.48145466, 0.4578275, 0.40821073],
  std: [0.26862954, 0.26130258, 0.27577711],
} as const;
const ABSENT_PATCH = 14;
const ABSENT_MERGE = 2;
const ABSENT_FRAMES = 2;
const ABSENT_MIN_PIXELS = 56 * 56;
const ABSENT_MAX_PIXELS = 28 * 28 * 1280;

/** The reference refuses images that are longer than this. */
const MAX_ASPECT = 200;

/**
 * The most feature rows of an image, for a request's `detail`, if the config allows as many. It often allows 16,384: more than
 * the context of a browser's model, and attention between four times as many patches. The values of 4,096 rows fit in the
 * smallest buffer that every GPU can bind, and 1,024 in most contexts.
 */
export const MOST_ROWS: Record<IdentifiedImage['detail'], number> = { low: 256, auto: 1024, high: 4096 };

/** How the model's images are scaled and cut into patches. */
export interface ImageSettings {
  /** Edge of a patch, in pixels. */
  patch: number;
  /** Squares of this edge, in patches, become one feature row. */
  merge: number;
  /** Frames that one patch has; a still image is as many equal ones. */
  frames: number;
  minPixels: number;
  maxPixels: number;
  levels: Pick<SplitPlan, 'filter' | 'mean' | 'std'>;
}

/** The patches of an image. */
export interface PatchGrid {
  rows: number;
  columns: number;
}

/** Reads how images are scaled. A config that needs a step that is not implemented is refused. */
export function imageSettings(config: ConfigReader, preprocessor: ConfigReader): ImageSettings {
  preprocessor.expect('do_resize', true, true);
  const patch = preprocessor.count('patch_size', ABSENT_PATCH);
  const merge = preprocessor.count('merge_size', ABSENT_MERGE);
  const frames = preprocessor.count('temporal_patch_size', ABSENT_FRAMES);
  config.expect('vision_config.patch_size', patch, patch);
  config.expect('vision_config.spatial_merge_size', merge, merge);
  config.expect('vision_config.temporal_patch_size', frames, frames);
  const pixels = (field: string, older: string, absent: number): number =>
    preprocessor.count((preprocessor.get(older) ?? null) === null ? `size.${field}` : older, absent);
  return {
    patch,
    merge,
    frames,
    minPixels: pixels('shortest_edge', 'min_pixels', ABSENT_MIN_PIXELS),
    maxPixels: pixels('longest_edge', 'max_pixels', ABSENT_MAX_PIXELS),
    levels: readLevels(preprocessor, ABSENT),
  };
}

/** @throws NearsightError `unreadable_image` if the image is too long */
export function patchGrid(
  image: Size & Pick<IdentifiedImage, 'detail'>,
  settings: ImageSettings,
  param: string,
): PatchGrid {
  const { width, height, detail } = image;
  if (Math.max(width, height) / Math.min(width, height) > MAX_ASPECT) {
    const limit = `this model reads images that are at most ${MAX_ASPECT} times as long as wide`;
    throw unreadableImage(param, `is ${width} x ${height} pixels: ${limit}. Crop it`);
  }
  const { patch, merge, minPixels, maxPixels } = settings;
  const factor = patch * merge;
  const most = Math.max(minPixels, Math.min(maxPixels, MOST_ROWS[detail] * factor ** 2));
  const scaled = smartResize(image, { factor, minPixels, maxPixels: most }, 0);
  return { rows: scaled.height / patch, columns: scaled.width / patch };
}

/** One crop, which is the whole image in patches. */
export function patchPlan({ rows, columns }: PatchGrid, { patch, merge, frames, levels }: ImageSettings): SplitPlan {
  return {
    ...levels,
    resizes: [{ width: columns * patch, height: rows * patch }],
    crops: [{ resize: 0, left: 0, top: 0, layout: patchLayout(rows, columns, { patch, merge, frames }) }],
    cropValues: rows * columns * patchValues({ patch, frames }),
  };
}

export function patchValues({ patch, frames }: Pick<ImageSettings, 'patch' | 'frames'>): number {
  return CHANNELS * frames * patch ** 2;
}
