import type { Resize, Size, SplitPlan } from '../../backend/image-splitter.ts';
import type { ConfigReader } from '../config-reader.ts';
import { readLevels } from '../preprocessor-config.ts';

/** CLIP's, which the reference takes where the config has none. */
const CLIP = {
  filter: 'bicubic',
  mean: [0.48145466, 0.4578275, 0.40821073],
  std: [0.26862954, 0.26130258, 0.27577711],
} as const;

/** How the model's images are scaled. */
export interface ImageSettings {
  shortestEdge: number;
  /** Edge of the square that is cut out of the middle. */
  cropSize: number;
  levels: Pick<SplitPlan, 'filter' | 'mean' | 'std'>;
}

/** Reads how images are scaled and cropped. A config that needs a step that is not implemented is refused. */
export function imageSettings(preprocessor: ConfigReader): ImageSettings {
  preprocessor.expect('do_resize', true, true);
  preprocessor.expect('do_center_crop', true, true);
  preprocessor.expect('do_pad', false, false);
  const cropSize = preprocessor.count('crop_size.height');
  preprocessor.expect('crop_size.width', cropSize);
  const shortestEdge = preprocessor.count('size.shortest_edge');
  // The reference pads what is smaller than the crop.
  if (shortestEdge < cropSize) throw preprocessor.error('size.shortest_edge', `at least ${cropSize}`);
  return { shortestEdge, cropSize, levels: readLevels(preprocessor, CLIP) };
}

/** Feature rows of an image, as the Python `LlavaProcessor` counts them. */
export function rowsPerImage(processor: ConfigReader, cropSize: number): number {
  const patches = Math.floor(cropSize / processor.count('patch_size')) ** 2;
  const [additional = 0] = processor.numbers('num_additional_image_tokens', 1, [0]);
  const withoutClass = processor.get('vision_feature_select_strategy') === 'default';
  return patches + additional - (withoutClass ? 1 : 0);
}

/** Scales the shorter edge, truncates the other, and takes the middle of the result: only that is computed. */
export function centerCrop({ width, height }: Size, { shortestEdge, cropSize }: ImageSettings): Resize {
  const longest = Math.trunc((shortestEdge * Math.max(width, height)) / Math.min(width, height));
  const scaled = width <= height ? { width: shortestEdge, height: longest } : { width: longest, height: shortestEdge };
  const middle = (edge: number): number => Math.floor((edge - cropSize) / 2);
  const part = { left: middle(scaled.width), top: middle(scaled.height), width: cropSize, height: cropSize };
  return { ...scaled, part };
}
