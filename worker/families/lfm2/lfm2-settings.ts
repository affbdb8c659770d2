import type { SplitPlan } from '../../backend/image-splitter.ts';
import type { ConfigReader } from '../config-reader.ts';
import { readLevels } from '../preprocessor-config.ts';
import type { SmartSize } from '../smart-resize.ts';

/** What the reference takes for fields that the config does not have. */
const ABSENT = {
  levels: { filter: 'bilinear', mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] },
  patch: 16,
  downsample: 2,
  minTokens: 64,
  maxTokens: 256,
  minTiles: 2,
  maxTiles: 10,
  tileSize: 512,
  tolerance: 2,
} as const;

/** How the model's images are scaled, split and cut into patches. */
export interface ImageSettings extends SmartSize {
  /** Edge of a patch, in pixels. */
  patch: number;
  /** The most patches of a crop: all have as many, the rest of which are zeros. */
  maxPatches: number;
  /** An image with more pixels is split. */
  largePixels: number;
  /** Whether large images are split by default. */
  splitting: boolean;
  /** Whether a split image is also read as a whole. */
  thumbnail: boolean;
  minTiles: number;
  maxTiles: number;
  tileSize: number;
  levels: Pick<SplitPlan, 'filter' | 'mean' | 'std'>;
  activationBytes: number;
}

/**
 * Reads how images are scaled. A config that needs a step that is not implemented is refused. `do_resize` and `size` have no
 * effect, as in the reference: transformers.js squashes images to that size first.
 */
export function imageSettings(config: ConfigReader, preprocessor: ConfigReader): ImageSettings {
  preprocessor.expect('do_pad', true, true);
  config.expect('use_image_special_tokens', true, true);
  const patch = preprocessor.count('encoder_patch_size', ABSENT.patch);
  config.expect('vision_config.patch_size', patch, patch);
  const downsample = preprocessor.count('downsample_factor', ABSENT.downsample);
  config.expect('downsample_factor', downsample, downsample);
  const tileSize = preprocessor.count('tile_size', ABSENT.tileSize);
  const minTiles = preprocessor.count('min_tiles', ABSENT.minTiles);
  // The reference counts the tokens of a single tile wrongly.
  if (minTiles < 2) throw preprocessor.error('min_tiles', 'at least 2');
  const factor = patch * downsample;
  if (tileSize % factor !== 0) throw preprocessor.error('tile_size', `a multiple of ${factor}`);
  const pixels = (tokens: number): number => tokens * factor ** 2;
  const maxTokens = preprocessor.count('max_image_tokens', ABSENT.maxTokens);
  const [tolerance = ABSENT.tolerance] = preprocessor.numbers('max_pixels_tolerance', 1, [ABSENT.tolerance]);
  const splitting = (preprocessor.get('do_image_splitting') ?? true) === true;
  const maxPatches = Math.max(maxTokens * downsample ** 2, splitting ? (tileSize / patch) ** 2 : 0);
  return {
    factor,
    patch,
    maxPatches,
    minPixels: pixels(preprocessor.count('min_image_tokens', ABSENT.minTokens)),
    maxPixels: pixels(maxTokens),
    largePixels: pixels(maxTokens) * tolerance,
    splitting,
    thumbnail: (preprocessor.get('use_thumbnail') ?? true) === true,
    minTiles,
    maxTiles: preprocessor.count('max_tiles', ABSENT.maxTiles),
    tileSize,
    levels: readLevels(preprocessor, ABSENT.levels),
    // The largest tensor is the attention of a layer.
    activationBytes: config.count('vision_config.num_attention_heads') * maxPatches ** 2 * 4,
  };
}
