import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import type { TurnPart } from '../../../src/protocol/job.ts';
import { openChatTemplate } from '../../../worker/families/chat-template.ts';
import { readConfig } from '../../../worker/families/config-reader.ts';
import { openTokenizer } from '../../../worker/families/tokenizer.ts';
import { loadOrt } from '../../../worker/onnx/ort.ts';
import { ImageCache } from '../../../worker/vision/image-cache.ts';
import { PREPARED_BY_IT } from '../../../worker/engines/transformers/model-types.ts';
import { packagedOrt } from './packaged-ort.ts';
import { useFacade } from './use-facade.ts';

// Families that transformers.js prepares: its classes, with what we give them.

const { signal } = new AbortController();
const SPECIAL = ['<|image|>', '[IMG_BREAK]', '[IMG_END]'];
const FIRST_ID = 767;

/** CLIP's. */
const MEAN = [0.48145466, 0.4578275, 0.40821073];
const STD = [0.26862954, 0.26130258, 0.27577711];

/** `null` where a file is not there. */
type Configs = Record<'config' | 'generation_config' | 'processor_config' | 'preprocessor_config', object | null>;

const TEXT = { vocab_size: 770, max_position_embeddings: 512 };

/** The smallest configs that Pixtral's classes take. Its feature rows are squares of 32 pixels. */
const PIXTRAL: Configs = {
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

const LIGHTON: Configs = { ...PIXTRAL, config: { ...PIXTRAL.config, model_type: 'lighton_ocr' } };

/** And GLM-OCR's, likewise. */
const GLM: Configs = {
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
const LLAVA: Configs = {
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

function filesOf(configs: Configs): Map<string, Uint8Array> {
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

// Node handles up to 1,000 messages of a port, as the original sends, before anything else.
vi.mock('../../../src/async/yield-to-events.ts', () => ({
  async yieldToEvents(until?: AbortSignal) {
    await new Promise((resolve) => setImmediate(resolve));
    until?.throwIfAborted();
  },
}));

let TransformersProcessor: typeof import('../../../worker/engines/transformers/transformers-processor.ts').TransformersProcessor;

useFacade();

beforeAll(async () => {
  ({ TransformersProcessor } = await import('../../../worker/engines/transformers/transformers-processor.ts'));
  const { useOrt } = await import('../../../worker/engines/transformers/ort-facade.ts');
  useOrt(await loadOrt('wasm', packagedOrt()), () => Promise.reject(new Error('no graph is needed')));
});

/** A level for each index. */
const levelAt = (at: number): number => (at * 31) % 256;

/** Its images are as large as their bytes say: width and height, in two bytes each. */
function open(configs: Configs) {
  const decode = async ({ bytes: [a = 0, b = 0, c = 0, d = 0] }: { bytes: Uint8Array }) => {
    const [width, height] = [a * 256 + b, c * 256 + d];
    return { width, height, data: Uint8Array.from({ length: width * height * 3 }, (_, at) => levelAt(at)) };
  };
  const tools = { openTokenizer, openChatTemplate, imageCache: () => new ImageCache(decode) };
  return new TransformersProcessor(filesOf(configs), tools);
}

const image = (width: number, height: number): TurnPart => ({
  type: 'image',
  bytes: Uint8Array.of(width >> 8, width & 255, height >> 8, height & 255),
  detail: 'auto',
  param: 'messages.0.content.0',
});

async function encode(configs: Configs, ...parts: TurnPart[]) {
  return open(configs).encodeChat([{ role: 'user', parts }], 1e8, true, signal);
}

/** Changes a config: fields that become undefined are left out. */
const change = (configs: Configs, name: keyof Configs, fields: object): Configs => ({
  ...configs,
  [name]: { ...configs[name], ...fields },
});

describe('images', () => {
  const steps = { do_resize: undefined, do_rescale: undefined, do_normalize: undefined };

  test.each([
    ['Pixtral', PIXTRAL],
    [
      'Pixtral, where null stands for what is not there',
      change(PIXTRAL, 'preprocessor_config', { do_normalize: null }),
    ],
    [
      'Pixtral, in newer repositories',
      {
        ...PIXTRAL,
        processor_config: { ...PIXTRAL.processor_config, image_processor: PIXTRAL.preprocessor_config },
        preprocessor_config: null,
      },
    ],
    ['LLaVA', LLAVA],
  ])('are scaled, and their levels normalised, unless the config says no: %s', async (_, configs) => {
    const [first] = (await encode(configs, image(96, 96))).images;
    const { pixel_values: pixels } = await (await first!.open(undefined!, signal)).batch(0, 1);
    expect(pixels?.dims).toEqual([1, 3, 96, 96]);
    const expected = Float32Array.from({ length: 3 * 96 * 96 }, (__, at) => {
      const [channel, pixel] = [Math.floor(at / 96 ** 2), at % 96 ** 2];
      return (levelAt(pixel * 3 + channel) / 255 - MEAN[channel]!) / STD[channel]!;
    });
    expect(
      Math.max(...expected.map((value, at) => Math.abs(value - Number((pixels!.data as Float32Array)[at])))),
    ).toBeLessThan(1e-5);
  });

  test('of GLM-OCR too', async () => {
    const [first] = (await encode(change(GLM, 'preprocessor_config', steps), image(96, 96))).images;
    const { pixel_values: pixels } = await (await first!.open(undefined!, signal)).batch(0, 1);
    const least = Math.min(...(pixels!.data as Float32Array));
    expect(least).toBeCloseTo(-MEAN[0]! / STD[0]!, 2);
  });

  test('are not normalised if the config says no', async () => {
    const configs = change(PIXTRAL, 'preprocessor_config', { do_normalize: false, image_mean: undefined });
    const [first] = (await encode(configs, image(96, 96))).images;
    const { pixel_values: pixels } = await (await first!.open(undefined!, signal)).batch(0, 1);
    expect(Math.min(...(pixels!.data as Float32Array))).toBe(0);
  });

  test.each([
    ['image_mean', 'a list of 3 numbers, and is nothing'],
    ['image_std', 'a list of 3 numbers, and is nothing'],
    ['size', 'the size of an image, and is nothing'],
    ['image_processor_type', 'one that transformers.js knows, and is nothing'],
  ])('cannot be prepared without %s', (field, expected) => {
    const configs = change(PIXTRAL, 'preprocessor_config', { [field]: undefined });
    expect(() => open(configs)).toThrow(`preprocessor_config.json: ${field} should be ${expected}.`);
  });
});

describe('what stands for an image of three squares by two', () => {
  const row = '<|image|><|image|><|image|>';

  test.each([
    ['of Pixtral ends rows', PIXTRAL, `${row}[IMG_BREAK]${row}[IMG_END]`],
    ['of LightOnOCR does not', LIGHTON, row + row],
    [
      'nor if it has the class of the Python reference',
      change(LIGHTON, 'processor_config', { processor_class: 'LightOnOcrProcessor' }),
      row + row,
    ],
    ['of GLM-OCR does not', GLM, row + row],
  ])('%s', async (_, configs, text) => {
    const { ids, images } = await encode(configs, image(96, 64), { type: 'text', text: 'a' });
    const expected = openTokenizerOf(configs).encodeTemplate(`${text}a`);
    expect([...ids]).toEqual(expected);
    expect(images[0]?.tokens).toBe(6);
  });
});

/** A processor's tokenizer, with what it has for templates. */
const openTokenizerOf = (configs: Configs) => openTokenizer(readConfig(filesOf(configs), 'tokenizer.json'));

test('every family that transformers.js prepares is one of these', () => {
  const opened = [PIXTRAL, LIGHTON, GLM, LLAVA].map((configs) => {
    open(configs);
    return Object(configs.config).model_type as string;
  });
  expect(opened.sort()).toEqual([...PREPARED_BY_IT].sort());
});

test.each([
  ['too long for GLM-OCR', GLM, 3010, 15],
  ['without a height once scaled, for Pixtral', PIXTRAL, 1000, 1],
])('an image that is %s is refused by its place', async (_, configs, width, height) => {
  const reading = encode(configs, image(96, 96), {
    ...image(width, height),
    param: 'messages.0.content.1',
  } as TurnPart);
  await expect(reading).rejects.toMatchObject({
    code: 'unreadable_image',
    param: 'messages.0.content.1',
    message: expect.stringContaining(`The image at messages.0.content.1 is ${width} x ${height} pixels`) as string,
  });
});

test('an abort is seen between images', async () => {
  const abort = new AbortController();
  // Called once for each image. Nothing else here returns to the event loop.
  const { RawImage } = await import('@huggingface/transformers');
  const prepared = vi.spyOn(RawImage.prototype, 'rgb').mockImplementation(function (
    this: InstanceType<typeof RawImage>,
  ) {
    setImmediate(() => abort.abort());
    return this;
  });
  const configs = change(LLAVA, 'preprocessor_config', { do_resize: false });
  const parts = Array.from({ length: 8 }, (_, at) => image(96, 96 + 16 * at));
  const reading = open(configs).encodeChat([{ role: 'user', parts }], 1e8, false, abort.signal);
  await expect(reading).rejects.toMatchObject({ name: 'AbortError' });
  expect(prepared.mock.calls.length).toBeLessThan(parts.length);
  prepared.mockRestore();
});

test.each([
  ['generation_config.json', { eos_token_id: [1, 2] }, { eos_token_id: 3 }, [1, 2]],
  ['config.json', {}, { eos_token_id: 3, text_config: { ...TEXT, eos_token_id: 4 } }, [3]],
  ['the part about text', null, { eos_token_id: null, text_config: { ...TEXT, eos_token_id: [4] } }, [4]],
])('end tokens are those of %s', (_, generation, config, expected) => {
  const configs = { ...change(LLAVA, 'config', config), generation_config: generation };
  expect(open(configs).config.stopIds).toEqual(expected);
});

test('without any end token a model is refused', () => {
  expect(() => open({ ...LLAVA, generation_config: null })).toThrow(
    'generation_config.json: eos_token_id should be a list of numbers, and is nothing.',
  );
});

test('a config without a context length has the one that a spec of the hub gets', () => {
  const configs = change(LLAVA, 'config', { text_config: { vocab_size: 770 } });
  expect(open(configs).config).toMatchObject({ vocab: 770, maxPositions: 8192 });
});
