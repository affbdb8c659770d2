import { type ModelFiles, readConfig } from './config-reader.ts';
import { openGemma3 } from './gemma3/gemma3-processor.ts';
import { openLfm2 } from './lfm2/lfm2-processor.ts';
import { openLlava } from './llava/llava-processor.ts';
import type { FamilyTools, Processor } from './processor.ts';
import { openQwen } from './qwen/qwen-processor.ts';

/**
 * The families whose images and prompts are prepared by us, to one grey level of the Python reference, besides those of the
 * registry. They are a module of their own because only the file of the second engine needs them. A model type that is in
 * neither is prepared by transformers.js, with its differences.
 */
const OTHER_FAMILIES: ReadonlyMap<string, typeof openQwen> = new Map([
  ['gemma3', openGemma3],
  ['lfm2_vl', openLfm2],
  // FastVLM.
  ['llava_qwen2', openLlava],
  ['qwen2_vl', openQwen],
  ['qwen2_5_vl', openQwen],
  ['qwen3_vl', openQwen],
  ['qwen3_5', openQwen],
]);

/** The values of `model_type` that {@link openOtherProcessor} knows. */
export const otherModelTypes: readonly string[] = [...OTHER_FAMILIES.keys()];

/**
 * Opens a model's processor from its files.
 *
 * @returns undefined for a family that is not known
 * @throws NearsightError `load_failed` with the file and field that the family does not support
 */
export function openOtherProcessor(files: ModelFiles, tools: FamilyTools): Processor | undefined {
  return OTHER_FAMILIES.get(readConfig(files, 'config.json').string('model_type'))?.(files, tools);
}
