import { type ModelFiles, readConfig, readPreprocessor, textConfig } from '../config-reader.ts';
import { type ImageFamily, type PlannedImage, processorOf } from '../image-processor.ts';
import { specialName } from '../preprocessor-config.ts';
import type { FamilyTools, Processor } from '../processor.ts';
import { squareEncoder, squareInputs, wholeImagePlan } from '../whole-image.ts';
import { centerCrop, imageSettings, rowsPerImage } from './llava-settings.ts';

/** Opens the processor of FastVLM (`llava_qwen2`): see `openOtherProcessor`. Each image is one square, whatever its `detail`. */
export function openLlava(files: ModelFiles, { openTokenizer, openChatTemplate, imageCache }: FamilyTools): Processor {
  const config = readConfig(files, 'config.json');
  const settings = imageSettings(readPreprocessor(files));
  const { cropSize, levels } = settings;
  const tokens = rowsPerImage(readConfig(files, 'processor_config.json'), cropSize);
  const tokenizer = openTokenizer(readConfig(files, 'tokenizer.json'));
  const placeholder = specialName(tokenizer, config, 'image_token_index');
  const family = {
    config: textConfig(config, readConfig(files, 'generation_config.json')),
    tokenizer,
    imageTokenId: config.count('image_token_index'),
    // Its images have one crop each, so that no batch has more.
    encoderInputs: squareEncoder(cropSize, Infinity),
    encodeTurns: openChatTemplate(files, tokenizer, placeholder),
    placeholder,
    planImage: (image) => ({
      variant: 'centre',
      plan: wholeImagePlan(centerCrop(image, settings), levels),
      tokens,
      prompt: placeholder.repeat(tokens),
      inputs: (values, _first, count) => squareInputs(values, count, cropSize),
    }),
  } satisfies ImageFamily<PlannedImage>;
  return processorOf(family, imageCache());
}
