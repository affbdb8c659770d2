import * as transformers from '@huggingface/transformers';
import { openOtherProcessor } from '../../families/other-families.ts';
import type { FamilyTools, Processor } from '../../families/processor.ts';
import { TransformersProcessor } from './transformers-processor.ts';

export { assemble } from './assemble.ts';
export { open } from './open-transformers.ts';
export { readModelConfig } from './transformers-model.ts';

// Everything is given to it: it has nothing to fetch.
transformers.env.allowRemoteModels = false;
transformers.env.allowLocalModels = false;
transformers.env.useBrowserCache = false;
transformers.env.useWasmCache = false;

/**
 * Opens the processor of a family that is not in the worker.
 *
 * @throws NearsightError `load_failed` for a family that transformers.js does not know, or naming what is not supported
 */
export function openProcessor(files: ReadonlyMap<string, Uint8Array>, tools: FamilyTools): Processor {
  return openOtherProcessor(files, tools) ?? new TransformersProcessor(files, tools);
}
