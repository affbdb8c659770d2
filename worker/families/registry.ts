import { decodeImage } from '../vision/image-decoder.ts';
import { type ModelFiles, readConfig } from './config-reader.ts';
import { openIdefics3 } from './idefics3/idefics3-processor.ts';
import type { Processor } from './processor.ts';

/** By the `model_type` in `config.json`. */
const FAMILIES: ReadonlyMap<string, typeof openIdefics3> = new Map([
  ['idefics3', openIdefics3],
  // SmolVLM2: for still images, the same but for the names of its classes.
  ['smolvlm', openIdefics3],
]);

/** The `model_type`s for which there is a processor. */
export const modelTypes: readonly string[] = [...FAMILIES.keys()];

/**
 * Opens a model's processor from its files.
 *
 * @param decode decodes an image's bytes; default: with the browser's decoders
 * @throws NearsightError `load_failed` for an unknown family, or with the file and field that the family does not support
 */
export function openProcessor(files: ModelFiles, decode = decodeImage): Processor {
  const config = readConfig(files, 'config.json');
  const open = FAMILIES.get(config.string('model_type'));
  if (!open) throw config.error('model_type', `one of ${modelTypes.join(', ')}`);
  return open(files, decode);
}
