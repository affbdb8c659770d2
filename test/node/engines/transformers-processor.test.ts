import { beforeAll, describe, expect, test, vi } from 'vitest';
import type { TurnPart } from '../../../src/protocol/job.ts';
import { PREPARED_BY_IT } from '../../../worker/engines/transformers/model-types.ts';
import { readConfig } from '../../../worker/families/config-reader.ts';
import { openTokenizer } from '../../../worker/families/tokenizer.ts';
import {
  change,
  type Configs,
  filesOf,
  GLM,
  image,
  levelAt,
  LIGHTON,
  LLAVA,
  MEAN,
  opener,
  PIXTRAL,
  STD,
  TEXT,
} from './transformers-families.ts';

const { signal } = new AbortController();

// Node handles up to 1,000 messages of a port, as the original sends, before anything else.
vi.mock('../../../src/async/yield-to-events.ts', () => ({
  async yieldToEvents(until?: AbortSignal) {
    await new Promise((resolve) => setImmediate(resolve));
    until?.throwIfAborted();
  },
}));

let open: Awaited<ReturnType<typeof opener>>;

beforeAll(async () => {
  open = await opener();
});

async function encode(configs: Configs, ...parts: TurnPart[]) {
  return open(configs).encodeChat([{ role: 'user', parts }], 1e8, true, signal);
}

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
  });
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
