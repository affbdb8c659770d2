import type { ModelFile, ModelGraph, ModelSpec } from '../src/protocol/model-spec.ts';
import listed from './glimpse/files.json' with { type: 'json' };

/**
 * Where the files are if `assets` does not say. One literal URL per file, because that is what bundlers find and copy.
 * Empty in scripts that are not modules, where `import.meta.url` is undefined.
 */
function bundledURLs(): Record<string, URL> {
  try {
    return {
      'chat_template.json': new URL('./glimpse/chat_template.json', import.meta.url),
      'config.json': new URL('./glimpse/config.json', import.meta.url),
      'generation_config.json': new URL('./glimpse/generation_config.json', import.meta.url),
      'preprocessor_config.json': new URL('./glimpse/preprocessor_config.json', import.meta.url),
      'processor_config.json': new URL('./glimpse/processor_config.json', import.meta.url),
      'tokenizer.json': new URL('./glimpse/tokenizer.json', import.meta.url),
      'tokenizer_config.json': new URL('./glimpse/tokenizer_config.json', import.meta.url),
      'onnx/decoder_model_merged_q4.onnx': new URL('./glimpse/onnx/decoder_model_merged_q4.onnx', import.meta.url),
      'onnx/decoder_model_merged_q4f16.onnx': new URL(
        './glimpse/onnx/decoder_model_merged_q4f16.onnx',
        import.meta.url,
      ),
      'onnx/embed_tokens_q4.onnx': new URL('./glimpse/onnx/embed_tokens_q4.onnx', import.meta.url),
      'onnx/embed_tokens_q4f16.onnx': new URL('./glimpse/onnx/embed_tokens_q4f16.onnx', import.meta.url),
      'onnx/vision_encoder_q4.onnx': new URL('./glimpse/onnx/vision_encoder_q4.onnx', import.meta.url),
      'onnx/vision_encoder_q4f16.onnx': new URL('./glimpse/onnx/vision_encoder_q4f16.onnx', import.meta.url),
    };
  } catch {
    return {};
  }
}

const urls = bundledURLs();
// All but a file that only other libraries read.
const files: ModelFile[] = listed
  .filter(({ path }) => path !== 'special_tokens_map.json')
  .map((entry) => ({ ...entry, url: urls[entry.path] }));

function graph(name: string): ModelGraph {
  const file = files.find(({ path }) => path === `onnx/${name}.onnx`);
  if (!file) throw new Error(`models/glimpse/files.json does not list onnx/${name}.onnx`);
  return { file, data: [] };
}

function variant(dtype: string) {
  return {
    dtype,
    graphs: {
      vision: graph(`vision_encoder_${dtype}`),
      embed: graph(`embed_tokens_${dtype}`),
      decoder: graph(`decoder_model_merged_${dtype}`),
    },
  };
}

/**
 * The model that comes with nearsight: a toy of a few million parameters that knows drawings of everyday things, small
 * enough to be part of your own site. Its card says what it can and cannot do: `models/glimpse/README.md`.
 */
export const glimpse: ModelSpec = {
  format: 1,
  id: 'glimpse',
  modelType: 'idefics3',
  assets: 'glimpse',
  contextLength: 4096,
  wasm: 'ok',
  licence: { spdx: 'Apache-2.0', restricted: false },
  description: 'A toy for trying things out: names drawings of everyday things, and knows nothing of photos',
  files: files.filter(({ path }) => !path.startsWith('onnx/')),
  variants: [
    // At this size float16 saves nothing noticeable, so the exact variant comes first and is always taken.
    // `{ ...glimpse, variants: glimpse.variants.filter(({ f16 }) => f16) }` selects the other one.
    { ...variant('q4'), devices: ['webgpu', 'wasm'], f16: false },
    { ...variant('q4f16'), devices: ['webgpu'], f16: true },
  ],
};
