import type { SplitPlan } from '../../backend/image-splitter.ts';
import type { ConfigReader } from '../config-reader.ts';
import { readLevels } from '../preprocessor-config.ts';

/** SigLIP's, which the reference takes where the config has none. */
const SIGLIP = { filter: 'bilinear', mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] } as const;

/** What the reference takes for fields that a config of Gemma 3 leaves out. */
export const ABSENT_TEXT = { vocab: 262_208, maxPositions: 131_072 };
const ROWS = 256;

/** How the model's images are scaled. */
export interface ImageSettings {
  /** Edge of the square that each image becomes, whatever its shape. */
  size: number;
  /** Feature rows of an image. */
  rows: number;
  levels: Pick<SplitPlan, 'filter' | 'mean' | 'std'>;
  activationBytes: number;
}

/** Reads how images are scaled. A config that needs a step that is not implemented is refused. */
export function imageSettings(config: ConfigReader, preprocessor: ConfigReader): ImageSettings {
  preprocessor.expect('do_resize', true, true);
  // Crops of long images, which the reference does not make by itself.
  preprocessor.expect('do_pan_and_scan', false, false);
  const size = preprocessor.count('size.height');
  preprocessor.expect('size.width', size);
  config.expect('vision_config.image_size', size, size);
  const rows = config.count('mm_tokens_per_image', ROWS);
  preprocessor.expect('image_seq_length', rows, rows);
  const patches = (size / config.count('vision_config.patch_size')) ** 2;
  // The largest tensor is the attention of a layer.
  const activationBytes = config.count('vision_config.num_attention_heads') * patches ** 2 * 4;
  return { size, rows, levels: readLevels(preprocessor, SIGLIP), activationBytes };
}
