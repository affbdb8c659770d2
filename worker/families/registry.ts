import { decodeImage } from '../vision/image-decoder.ts';
import { type ModelFiles, readConfig } from './config-reader.ts';
import { openIdefics3 } from './idefics3/idefics3-processor.ts';
import type { Processor } from './processor.ts';

/** By the `model_type` in `config.json`. */
const FAMILIES: ReadonlyMap<string, typeof openIdefics3> = new Map([['idefics3', openIdefics3]]);

/** Whether there is a processor for models of this `model_type`. */
export function hasProcessor(modelType: string): boolean {
  return FAMILIES.has(modelType);
}

/**
 * Opens the processor of a model from its own files.
 *
 * @param decode turns an image's bytes into pixels, upright and on white; by default with the browser's decoders
 * @throws NearsightError `load_failed` for a family that is not known, or naming the file and field that are not as the
 *   family needs them
 */
export function openProcessor(files: ModelFiles, decode = decodeImage): Processor {
  const config = readConfig(files, 'config.json');
  const open = FAMILIES.get(config.string('model_type'));
  if (!open) throw config.error('model_type', `one of ${[...FAMILIES.keys()].join(', ')}`);
  return open(files, decode);
}
