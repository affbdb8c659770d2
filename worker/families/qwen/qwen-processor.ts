import type { EncoderInputs, NamedTensors } from '../../vision/vision-inputs.ts';
import { type ModelFiles, readConfig, readPreprocessor, textConfig } from '../config-reader.ts';
import { type ImageFamily, type PlannedImage, processorOf } from '../image-processor.ts';
import { specialName } from '../preprocessor-config.ts';
import type { FamilyTools, Processor } from '../processor.ts';
import { promptPositions } from './qwen-positions.ts';
import {
  type ImageSettings,
  imageSettings,
  type PatchGrid,
  patchGrid,
  patchPlan,
  patchValues,
} from './qwen-settings.ts';

interface QwenImage extends PlannedImage {
  /** Its feature rows, as the image has them. */
  features: PatchGrid;
}

/** Opens the processor of Qwen2-VL, Qwen2.5-VL, Qwen3-VL or Qwen3.5: see `openOtherProcessor`. */
export function openQwen(files: ModelFiles, { openTokenizer, openChatTemplate, imageCache }: FamilyTools): Processor {
  const config = readConfig(files, 'config.json');
  const settings = imageSettings(config, readPreprocessor(files));
  const tokenizer = openTokenizer(readConfig(files, 'tokenizer.json'));
  const placeholder = specialName(tokenizer, config, 'image_token_id');
  const imageTokenId = config.count('image_token_id');
  const family = {
    config: textConfig(config, readConfig(files, 'generation_config.json')),
    tokenizer,
    imageTokenId,
    encoderInputs: encoderInputs(settings),
    encodeTurns: openChatTemplate(files, tokenizer),
    placeholder,
    planImage(image, param) {
      const grid = patchGrid(image, settings, param);
      const features = { rows: grid.rows / settings.merge, columns: grid.columns / settings.merge };
      const tokens = features.rows * features.columns;
      return {
        variant: `${grid.rows}x${grid.columns}`,
        plan: patchPlan(grid, settings),
        tokens,
        prompt: placeholder.repeat(tokens),
        inputs: (values) => namedInputs(values, [grid], settings),
        features,
      };
    },
    positions: (ids, images) =>
      promptPositions(
        ids,
        imageTokenId,
        images.map(({ features }) => features),
      ),
  } satisfies ImageFamily<QwenImage>;
  return processorOf(family, imageCache());
}

function namedInputs<Pixels>(
  pixels: Pixels,
  grids: readonly PatchGrid[],
  settings: ImageSettings,
): NamedTensors<Pixels | BigInt64Array> {
  const patches = grids.reduce((sum, { rows, columns }) => sum + rows * columns, 0);
  const shapes = grids.flatMap(({ rows, columns }) => [1, rows, columns]);
  return {
    pixel_values: { type: 'float32', dims: [patches, patchValues(settings)], data: pixels },
    image_grid_thw: { type: 'int64', dims: [grids.length, 3], data: BigInt64Array.from(shapes, BigInt) },
  };
}

function encoderInputs(settings: ImageSettings): EncoderInputs {
  const grid = { rows: 2 * settings.merge, columns: 2 * settings.merge };
  return {
    example: (count, fill) => {
      const grids = Array.from({ length: count }, () => grid);
      return namedInputs(fill(count * grid.rows * grid.columns * patchValues(settings)), grids, settings);
    },
    constant: [],
    // An image is one crop, so that no batch has more.
    activationBytesPerCrop: Infinity,
  };
}
