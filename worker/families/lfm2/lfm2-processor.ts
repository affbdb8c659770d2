import type { EncoderInputs, NamedTensors } from '../../vision/vision-inputs.ts';
import type { Size } from '../../backend/image-splitter.ts';
import { CHANNELS } from '../../vision/cpu-image-splitter.ts';
import { unreadableImage } from '../../vision/unreadable-image.ts';
import { type ModelFiles, readConfig, readPreprocessor, textConfig } from '../config-reader.ts';
import { type ImageFamily, type PlannedImage, processorOf } from '../image-processor.ts';
import { specialName } from '../preprocessor-config.ts';
import type { FamilyTools, Processor } from '../processor.ts';
import { checkTags, imagePrompt } from './lfm2-prompt.ts';
import { type ImageSettings, imageSettings } from './lfm2-settings.ts';
import { cropShapes, cutImage, splitPlan } from './lfm2-tiles.ts';

/**
 * Opens the processor of LFM2-VL: see `openOtherProcessor`. Large images are split as the config says, and never where a
 * request's `detail` is `low`.
 */
export function openLfm2(files: ModelFiles, { openTokenizer, openChatTemplate, imageCache }: FamilyTools): Processor {
  const config = readConfig(files, 'config.json');
  const settings = imageSettings(config, readPreprocessor(files));
  const tokenizerFile = readConfig(files, 'tokenizer.json');
  const tokenizer = openTokenizer(tokenizerFile);
  checkTags(tokenizer, tokenizerFile, settings);
  const placeholder = specialName(tokenizer, config, 'image_token_id');
  const family = {
    config: textConfig(config, readConfig(files, 'generation_config.json')),
    tokenizer,
    imageTokenId: config.count('image_token_id'),
    encoderInputs: encoderInputs(settings),
    encodeTurns: openChatTemplate(files, tokenizer),
    placeholder,
    planImage(image, param) {
      const splitting = settings.splitting && image.detail !== 'low';
      const cut = cutImage(image, splitting, settings);
      const shapes = cropShapes(cut, settings);
      checkPatches(image, shapes, settings, param);
      const patchesPerRow = (settings.factor / settings.patch) ** 2;
      return {
        variant: `${cut.rows}x${cut.columns}`,
        plan: splitPlan(cut, settings),
        tokens: shapes.reduce((sum, { width, height }) => sum + (width * height) / patchesPerRow, 0),
        prompt: imagePrompt(cut, placeholder, settings),
        inputs: (values, first, count) => namedInputs(values, shapes.slice(first, first + count), settings),
      };
    },
  } satisfies ImageFamily<PlannedImage>;
  return processorOf(family, imageCache());
}

/** Of a very long image one edge stays at the least, and the other may exceed what a crop can have. */
function checkPatches(image: Size, shapes: readonly Size[], { maxPatches }: ImageSettings, param: string): void {
  const patches = Math.max(...shapes.map(({ width, height }) => width * height));
  if (patches <= maxPatches) return;
  const limit = `scaled for this model it would have ${patches} patches, and at most ${maxPatches} fit`;
  throw unreadableImage(param, `is ${image.width} x ${image.height} pixels: ${limit}. Crop it`);
}

/** @param shapes in patches */
function namedInputs<Pixels>(
  pixels: Pixels,
  shapes: readonly Size[],
  { maxPatches, patch }: ImageSettings,
): NamedTensors<Pixels | BigInt64Array> {
  const mask = new BigInt64Array(shapes.length * maxPatches);
  for (const [at, { width, height }] of shapes.entries()) {
    mask.fill(1n, at * maxPatches, at * maxPatches + width * height);
  }
  const sizes = BigInt64Array.from(
    shapes.flatMap(({ width, height }) => [height, width]),
    BigInt,
  );
  const dims = [shapes.length, maxPatches];
  return {
    pixel_values: { type: 'float32', dims: [...dims, CHANNELS * patch ** 2], data: pixels },
    pixel_attention_mask: { type: 'int64', dims, data: mask },
    spatial_shapes: { type: 'int64', dims: [shapes.length, 2], data: sizes },
  };
}

function encoderInputs(settings: ImageSettings): EncoderInputs {
  const { factor, patch, maxPatches, activationBytes } = settings;
  const edge = (2 * factor) / patch;
  return {
    example(count, fill) {
      const shapes = Array.from({ length: count }, () => ({ width: edge, height: edge }));
      return namedInputs(fill(count * maxPatches * CHANNELS * patch ** 2), shapes, settings);
    },
    constant: [],
    activationBytesPerCrop: activationBytes,
  };
}
