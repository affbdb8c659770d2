import type { ModelFile, ModelSpec } from '../src/protocol/model-spec.ts';
import listed from './glimpse/files.json' with { type: 'json' };

// One literal URL per file, because that is what bundlers find and copy.
const urls: Record<string, URL> = {
  'chat_template.json': new URL('./glimpse/chat_template.json', import.meta.url),
  'config.json': new URL('./glimpse/config.json', import.meta.url),
  'generation_config.json': new URL('./glimpse/generation_config.json', import.meta.url),
  'preprocessor_config.json': new URL('./glimpse/preprocessor_config.json', import.meta.url),
  'processor_config.json': new URL('./glimpse/processor_config.json', import.meta.url),
  'tokenizer.json': new URL('./glimpse/tokenizer.json', import.meta.url),
  'tokenizer_config.json': new URL('./glimpse/tokenizer_config.json', import.meta.url),
  'onnx/decoder_model_merged_q4.onnx': new URL('./glimpse/onnx/decoder_model_merged_q4.onnx', import.meta.url),
  'onnx/decoder_model_merged_q4f16.onnx': new URL('./glimpse/onnx/decoder_model_merged_q4f16.onnx', import.meta.url),
  'onnx/embed_tokens_q4.onnx': new URL('./glimpse/onnx/embed_tokens_q4.onnx', import.meta.url),
  'onnx/embed_tokens_q4f16.onnx': new URL('./glimpse/onnx/embed_tokens_q4f16.onnx', import.meta.url),
  'onnx/vision_encoder_q4.onnx': new URL('./glimpse/onnx/vision_encoder_q4.onnx', import.meta.url),
  'onnx/vision_encoder_q4f16.onnx': new URL('./glimpse/onnx/vision_encoder_q4f16.onnx', import.meta.url),
};

const files = listed.flatMap((each): ModelFile[] => {
  const url = urls[each.path];
  return url ? [{ ...each, url }] : [];
});

function file(path: string): ModelFile {
  const found = files.find((each) => each.path === path);
  if (!found) throw new Error(`models/glimpse/files.json does not list ${path}`);
  return found;
}

function variant(dtype: string) {
  return {
    dtype,
    vision: file(`onnx/vision_encoder_${dtype}.onnx`),
    embed: file(`onnx/embed_tokens_${dtype}.onnx`),
    decoder: file(`onnx/decoder_model_merged_${dtype}.onnx`),
  };
}

/**
 * The model that comes with nearsight: a toy of a few million parameters that knows drawings of everyday things, small
 * enough to be a file of your own site. What it can and cannot do is in its card, `models/glimpse/README.md`.
 */
export const glimpse: ModelSpec = {
  id: 'glimpse',
  modelType: 'idefics3',
  contextLength: 4096,
  bearableOnWasm: true,
  files: files.filter(({ path }) => !path.startsWith('onnx/')),
  variants: [
    // At this size float16 saves nothing that anyone would notice, so the exact one comes first, and is always taken;
    // `{ ...glimpse, variants: glimpse.variants.filter(({ f16 }) => f16) }` asks for the other.
    { ...variant('q4'), devices: ['webgpu', 'wasm'], f16: false },
    { ...variant('q4f16'), devices: ['webgpu'], f16: true },
  ],
};
