import { readFileSync } from 'node:fs';
import { openChatTemplate } from '../../../worker/families/chat-template.ts';
import type { Processor } from '../../../worker/families/processor.ts';
import { openTokenizer } from '../../../worker/families/tokenizer.ts';
import { loadOrt } from '../../../worker/onnx/ort.ts';
import { ImageCache } from '../../../worker/vision/image-cache.ts';
import type { ImagePart } from '../../../worker/vision/image-decoder.ts';
import { packagedOrt } from './packaged-ort.ts';
import { useFacade } from './use-facade.ts';

// Families that transformers.js prepares, with the smallest configs that its classes take.

const SPECIAL = ['<|image|>', '[IMG_BREAK]', '[IMG_END]'];
const FIRST_ID = 767;

/** CLIP's. */
export const MEAN = [0.48145466, 0.4578275, 0.40821073];
export const STD = [0.26862954, 0.26130258, 0.27577711];

/** `null` where a file is not there. */
export type Configs = Record<
  'config' | 'generation_config' | 'processor_config' | 'preprocessor_config',
  object | null
>;

export const TEXT = { vocab_size: 770, max_position_embeddings: 512 };

/** The smallest configs that Pixtral's classes take. Its feature rows are squares of 32 pixels. */
export const PIXTRAL: Configs = {
  config: { model_type: 'mistral3', image_token_id: FIRST_ID, text_config: TEXT },
  generation_config: { eos_token_id: 766 },
  processor_config: {
    processor_class: 'PixtralProcessor',
    patch_size: 16,
    spatial_merge_size: 2,
    image_break_token: '[IMG_BREAK]',
    image_end_token: '[IMG_END]',
  },
  preprocessor_config: {
    image_processor_type: 'PixtralImageProcessor',
    patch_size: 16,
    spatial_merge_size: 2,
    size: { longest_edge: 512 },
    image_mean: MEAN,
    image_std: STD,
  },
};

export const LIGHTON: Configs = { ...PIXTRAL, config: { ...PIXTRAL.config, model_type: 'lighton_ocr' } };

/** And GLM-OCR's, likewise. */
export const GLM: Configs = {
  config: { model_type: 'glm_ocr', image_token_id: FIRST_ID, text_config: TEXT },
  generation_config: { eos_token_id: 766 },
  processor_config: { processor_class: 'Glm46VProcessor' },
  preprocessor_config: {
    image_processor_type: 'Glm46VImageProcessor',
    patch_size: 16,
    merge_size: 2,
    temporal_patch_size: 2,
    size: { shortest_edge: 2048, longest_edge: 2 ** 21 },
    image_mean: MEAN,
    image_std: STD,
  },
};

/** And LLaVA's: squares of 96 pixels, in patches of 16. */
export const LLAVA: Configs = {
  config: { model_type: 'llava', image_token_index: FIRST_ID, text_config: TEXT },
  generation_config: { eos_token_id: 766 },
  processor_config: { processor_class: 'LlavaProcessor', patch_size: 16 },
  preprocessor_config: {
    image_processor_type: 'CLIPImageProcessor',
    size: { height: 96, width: 96 },
    image_mean: MEAN,
    image_std: STD,
  },
};

export function filesOf(configs: Configs): Map<string, Uint8Array> {
  const tokenizer = JSON.parse(readFileSync('test/fixtures/tiny-llava/tokenizer.json', 'utf8')) as {
    added_tokens: { id: number }[];
  };
  const added = tokenizer.added_tokens.filter(({ id }) => id < FIRST_ID);
  const special = SPECIAL.map((content, at) => ({ content, id: FIRST_ID + at, special: true }));
  const template = "{% for m in messages %}{% for p in m.content %}{{ p.text or '<|image|>' }}{% endfor %}{% endfor %}";
  const all = {
    ...configs,
    tokenizer: { ...tokenizer, added_tokens: [...added, ...special] },
    tokenizer_config: { chat_template: template },
  };
  return new Map(
    Object.entries(all).flatMap(([name, file]) =>
      file ? [[`${name}.json`, new TextEncoder().encode(JSON.stringify(file))] as const] : [],
    ),
  );
}

/** Changes a config: fields that become undefined are left out. */
export const change = (configs: Configs, name: keyof Configs, fields: object): Configs => ({
  ...configs,
  [name]: { ...configs[name], ...fields },
});

/** A level for each index, over and over. */
const LEVELS = Uint8Array.from({ length: 256 }, (_, at) => (at * 31) % 256);
export const levelAt = (at: number): number => LEVELS[at % LEVELS.length]!;

/** An image that {@link opener}'s processors take to be as large as its bytes say: width and height, in two bytes each. */
export const image = (width: number, height: number, detail: ImagePart['detail'] = 'auto'): ImagePart => ({
  type: 'image',
  bytes: Uint8Array.of(width >> 8, width & 255, height >> 8, height & 255),
  detail,
  param: 'messages.0.content.0',
});

/** Loads what opens these families. */
export async function opener(): Promise<(configs: Configs) => Processor> {
  useFacade();
  const { TransformersProcessor } = await import('../../../worker/engines/transformers/transformers-processor.ts');
  const { useOrt } = await import('../../../worker/engines/transformers/ort-facade.ts');
  useOrt(await loadOrt('wasm', packagedOrt()), () => Promise.reject(new Error('no graph is needed')));
  const decode = async ({ bytes: [a = 0, b = 0, c = 0, d = 0] }: { bytes: Uint8Array }) => {
    const [width, height] = [a * 256 + b, c * 256 + d];
    return { width, height, data: new Uint8Array(Buffer.alloc(width * height * 3, LEVELS)) };
  };
  const tools = { openTokenizer, openChatTemplate, imageCache: () => new ImageCache(decode) };
  return (configs) => new TransformersProcessor(filesOf(configs), tools);
}
