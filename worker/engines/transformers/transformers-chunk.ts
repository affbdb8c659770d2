import * as transformers from '@huggingface/transformers';
import { openOtherProcessor } from '../../families/other-families.ts';
import type { FamilyTools, Processor } from '../../families/processor.ts';
import type { TransformersKit, TransformersParts } from './kit.ts';
import { SessionHandle, useOrt } from './ort-facade.ts';
import { TransformersDecoder } from './transformers-decoder.ts';
import { TransformersModel } from './transformers-model.ts';
import { TransformersProcessor } from './transformers-processor.ts';

// Everything is given to it: it has nothing to fetch.
transformers.env.allowRemoteModels = false;
transformers.env.allowLocalModels = false;
transformers.env.useBrowserCache = false;
transformers.env.useWasmCache = false;

/** An input of Qwen2-VL's vision encoder, as its processor and transformers.js call it. */
const RENAMED: Readonly<Record<string, string>> = { grid_thw: 'image_grid_thw' };

/**
 * Opens the processor of a family that is not in the worker.
 *
 * @throws NearsightError `load_failed` for a family that transformers.js does not know, or naming what is not supported
 */
export function openProcessor(files: ReadonlyMap<string, Uint8Array>, tools: FamilyTools): Processor {
  return openOtherProcessor(files, tools) ?? new TransformersProcessor(files, tools);
}

/** Makes a model's parts of its open sessions. */
export function assemble(kit: TransformersKit): TransformersParts {
  const { ort, sessions, config, processor } = kit;
  useOrt(ort, kit.openOnCpu);
  const model = new TransformersModel(config, {
    vision: new SessionHandle(sessions.vision),
    embed: new SessionHandle(sessions.embed),
    decoder: new SessionHandle(sessions.decoder),
  });
  const inputs = new Map([...sessions.vision.inputs].map(([name, port]) => [RENAMED[name] ?? name, port]));
  if (processor instanceof TransformersProcessor) processor.attach(model, inputs);
  return {
    decoder: new TransformersDecoder(kit, model),
    vision: { inputs, run: async (feeds) => ({ image_features: await model.encodeImage(feeds) }) },
  };
}
