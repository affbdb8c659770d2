import type { TransformersKit, TransformersParts } from './kit.ts';
import { SessionHandle, useOrt } from './ort-facade.ts';
import { TransformersDecoder } from './transformers-decoder.ts';
import { TransformersModel } from './transformers-model.ts';
import { TransformersProcessor } from './transformers-processor.ts';

/** An input of Qwen2-VL's vision encoder, as its processor and transformers.js call it. */
const RENAMED: Readonly<Record<string, string>> = { grid_thw: 'image_grid_thw' };

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
