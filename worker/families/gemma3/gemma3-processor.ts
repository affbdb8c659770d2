import { type ModelFiles, readConfig, readPreprocessor, textConfig } from '../config-reader.ts';
import { type ImageFamily, type PlannedImage, processorOf } from '../image-processor.ts';
import { specialName } from '../preprocessor-config.ts';
import type { FamilyTools, Processor } from '../processor.ts';
import { squareEncoder, squareInputs, wholeImagePlan } from '../whole-image.ts';
import { openSentencePiece } from './gemma3-bpe.ts';
import { ABSENT_TEXT, imageSettings } from './gemma3-settings.ts';

/** Ids that the reference takes where the config has none. */
const IMAGE = 262_144;
const IMAGE_START = 255_999;
const IMAGE_END = 256_000;

/** Opens the processor of Gemma 3: see `openOtherProcessor`. Each image is one square, whatever its `detail`. */
export function openGemma3(files: ModelFiles, { openTokenizer, openChatTemplate, imageCache }: FamilyTools): Processor {
  const config = readConfig(files, 'config.json');
  const { size, rows, levels, activationBytes } = imageSettings(config, readPreprocessor(files));
  const tokenizer = openTokenizer(readConfig(files, 'tokenizer.json'), openSentencePiece);
  const start = specialName(tokenizer, config, 'boi_token_index', IMAGE_START);
  const end = specialName(tokenizer, config, 'eoi_token_index', IMAGE_END);
  const image = specialName(tokenizer, config, 'image_token_index', IMAGE);
  const prompt = `\n\n${start}${image.repeat(rows)}${end}\n\n`;
  const family = {
    config: textConfig(config, readConfig(files, 'generation_config.json'), ABSENT_TEXT),
    tokenizer,
    imageTokenId: config.count('image_token_index', IMAGE),
    encoderInputs: squareEncoder(size, activationBytes),
    encodeTurns: openChatTemplate(files, tokenizer),
    placeholder: start,
    planImage: () => ({
      variant: 'square',
      plan: wholeImagePlan({ width: size, height: size }, levels),
      tokens: rows,
      prompt,
      inputs: (values, _first, count) => squareInputs(values, count, size),
    }),
  } satisfies ImageFamily<PlannedImage>;
  return processorOf(family, imageCache());
}
