import type { decodeImage } from '../../vision/image-decoder.ts';
import { type IdentifiedImage, ImageCache } from '../../vision/image-cache.ts';
import { openChatTemplate } from '../chat-template.ts';
import { type ModelFiles, readConfig, readPreprocessor, textConfig } from '../config-reader.ts';
import { type PlannedImage, processorOf } from '../image-processor.ts';
import type { Processor } from '../processor.ts';
import { openTokenizer } from '../tokenizer.ts';
import { encoderInputs, namedInputs } from './idefics3-inputs.ts';
import { IMAGE, imagePrompt, mostTiles } from './idefics3-prompt.ts';
import { activationBytesPerCrop, imageSettings, rowsPerCrop } from './idefics3-settings.ts';
import { type ImageSettings, NO_TILES, splitPlan, type TileGrid, tileGrid } from './idefics3-tiles.ts';

/** Opens the processor of an Idefics3 model, such as SmolVLM: see `openProcessor`. */
export function openIdefics3(files: ModelFiles, decode: typeof decodeImage): Processor {
  const config = readConfig(files, 'config.json');
  const tokenizer = openTokenizer(readConfig(files, 'tokenizer.json'));
  const tiles = mostTiles(tokenizer.special);
  const settings = imageSettings(config, readPreprocessor(files), tiles);
  const { cropSize } = settings;
  const rows = rowsPerCrop(config, readConfig(files, 'processor_config.json'));
  const imageTokenId = config.count('image_token_id');
  if (tokenizer.special.get(IMAGE) !== imageTokenId) throw config.error('image_token_id', `the id of ${IMAGE}`);
  const planImage = (image: IdentifiedImage): PlannedImage => {
    const grid = gridFor(image, settings);
    const plan = splitPlan(image, grid, settings);
    return {
      variant: `${grid.rows}x${grid.columns}`,
      plan,
      tokens: plan.crops.length * rows,
      prompt: imagePrompt(grid, rows),
      inputs: (values, _first, count) => namedInputs(values, count, cropSize),
    };
  };
  const family = {
    config: textConfig(config, readConfig(files, 'generation_config.json')),
    tokenizer,
    imageTokenId,
    encoderInputs: encoderInputs(cropSize, activationBytesPerCrop(config)),
    encodeTurns: openChatTemplate(files, tokenizer),
    placeholder: IMAGE,
    planImage,
  };
  return processorOf(family, new ImageCache(decode));
}

/**
 * The tile grid for a request's `detail`: `low` is one crop, `high` is tiles and the whole image.
 *
 * `auto` follows the model's own processor, except for images that fit in one crop at half their size or more: tiles take
 * five to seventeen times the work and the context, and show no more of so few pixels.
 */
function gridFor({ width, height, detail }: IdentifiedImage, settings: ImageSettings): TileGrid {
  const large = Math.max(width, height) > 2 * settings.cropSize;
  const tiles = detail === 'high' || (detail === 'auto' && settings.splitting && large);
  return tiles ? tileGrid({ width, height }, settings) : NO_TILES;
}
