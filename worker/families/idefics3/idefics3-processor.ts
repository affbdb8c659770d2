import { NearsightError } from '../../../src/protocol/errors.ts';
import { openChatTemplate } from '../chat-template.ts';
import { type ModelFiles, readConfig, textConfig } from '../config-reader.ts';
import type { Processor } from '../processor.ts';
import { openTokenizer } from '../tokenizer.ts';
import { type IdentifiedImage, ImageCache } from '../../vision/image-cache.ts';
import type { decodeImage, ImagePart } from '../../vision/image-decoder.ts';
import type { PromptImage } from '../../vision/vision-inputs.ts';
import { encoderInputs, namedInputs } from './idefics3-inputs.ts';
import { IMAGE, imagePrompt, mostTiles } from './idefics3-prompt.ts';
import { activationBytesPerCrop, imageSettings, rowsPerCrop } from './idefics3-settings.ts';
import { type ImageSettings, NO_TILES, splitPlan, type TileGrid, tileGrid } from './idefics3-tiles.ts';

/** Opens the processor of an Idefics3 model, such as SmolVLM: see `openProcessor`. */
export function openIdefics3(files: ModelFiles, decode: typeof decodeImage): Processor {
  const config = readConfig(files, 'config.json');
  const tokenizer = openTokenizer(readConfig(files, 'tokenizer.json'));
  const tiles = mostTiles(tokenizer.special);
  const settings = imageSettings(config, readConfig(files, 'preprocessor_config.json'), tiles);
  const rows = rowsPerCrop(config, readConfig(files, 'processor_config.json'));
  const encodeTurns = openChatTemplate(files, tokenizer);
  const imageTokenId = config.count('image_token_id');
  if (tokenizer.special.get(IMAGE) !== imageTokenId) throw config.error('image_token_id', `the id of ${IMAGE}`);
  const cache = new ImageCache(decode);
  const text = textConfig(config, readConfig(files, 'generation_config.json'));
  return {
    config: text,
    tokenizer,
    imageTokenId,
    encoderInputs: encoderInputs(settings.cropSize, activationBytesPerCrop(config)),
    async encodeChat(turns, maxPixels, useCache, signal) {
      const parts = turns.flatMap((turn) => turn.parts.filter((part): part is ImagePart => part.type === 'image'));
      const identified = await cache.identify(parts, maxPixels, useCache, signal);
      const grids = identified.map((image) => gridFor(image, settings));
      const prompts = grids.map((grid) => imagePrompt(grid, rows));
      const images = identified.map((image, at) => promptImage(image, grids[at]!, rows, settings));
      const ids = encodeTurns(turns, IMAGE, prompts);
      const outside = ids.find((id) => id >= text.vocab);
      if (outside === undefined) return { ids, images };
      const message = `The model's chat template writes token ${outside}, but its embeddings end at ${text.vocab - 1}.`;
      throw new NearsightError('load_failed', message);
    },
    forget: () => cache.forget(),
  };
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

function promptImage(image: IdentifiedImage, grid: TileGrid, rows: number, settings: ImageSettings): PromptImage {
  const { width, height, hash } = image;
  const plan = splitPlan(image, grid, settings);
  return {
    key: `${width}x${height}/${grid.rows}x${grid.columns}/${hash}`,
    crops: plan.crops.length,
    tokens: plan.crops.length * rows,
    async open(splitter, signal) {
      const pixels = await image.pixels();
      signal.throwIfAborted();
      const crops = splitter.split(pixels, plan);
      return {
        batch: async (first, count) => namedInputs(await crops.batch(first, count), count, settings.cropSize),
        close: () => crops.close(),
      };
    },
  };
}
