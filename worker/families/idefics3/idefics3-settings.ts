import { CHANNELS, RESCALE_FACTOR } from '../../vision/cpu-image-splitter.ts';
import type { ConfigReader } from '../config-reader.ts';
import type { ImageSettings } from './idefics3-tiles.ts';

/** Pillow's number of the Lanczos filter, the only one that is implemented. */
const LANCZOS = 1;

/** The reference scales longer images down in another step, which is not implemented. */
const MAX_EDGE = 4096;

/**
 * Reads how images are split and scaled. A config that needs a step that is not implemented is refused.
 *
 * @param mostTiles that the vocabulary has tags for, along an edge
 */
export function imageSettings(config: ConfigReader, preprocessor: ConfigReader, mostTiles: number): ImageSettings {
  for (const step of ['do_resize', 'do_rescale', 'do_normalize']) preprocessor.expect(step, true);
  preprocessor.expect('resample', LANCZOS);
  preprocessor.expect('rescale_factor', RESCALE_FACTOR);
  const cropSize = preprocessor.count('max_image_size.longest_edge');
  config.expect('vision_config.image_size', cropSize);
  const longestEdge = preprocessor.count('size.longest_edge');
  const max = Math.min(mostTiles * cropSize, MAX_EDGE);
  if (longestEdge > max) throw preprocessor.error('size.longest_edge', `at most ${max}`);
  return {
    cropSize,
    longestEdge,
    // Python's default.
    splitting: (preprocessor.get('do_image_splitting') ?? true) === true,
    mean: preprocessor.numbers('image_mean', CHANNELS),
    std: preprocessor.numbers('image_std', CHANNELS),
  };
}

/** Feature rows of one crop: the connector merges squares of `scale_factor` patches into one row. */
export function rowsPerCrop(config: ConfigReader, processor: ConfigReader): number {
  const rows = (patchesPerEdge(config) / config.count('scale_factor')) ** 2;
  processor.expect('image_seq_len', rows);
  return rows;
}

/** The largest tensor is the attention of a layer: heads x patches², in float32. */
export function activationBytesPerCrop(config: ConfigReader): number {
  return config.count('vision_config.num_attention_heads') * patchesPerEdge(config) ** 4 * 4;
}

function patchesPerEdge(config: ConfigReader): number {
  return config.count('vision_config.image_size') / config.count('vision_config.patch_size');
}
