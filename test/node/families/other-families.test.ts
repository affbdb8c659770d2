import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Detail, Turn, TurnPart } from '../../../src/protocol/job.ts';
import { openChatTemplate } from '../../../worker/families/chat-template.ts';
import { openOtherProcessor, otherModelTypes } from '../../../worker/families/other-families.ts';
import type { FamilyTools, Processor } from '../../../worker/families/processor.ts';
import { openTokenizer } from '../../../worker/families/tokenizer.ts';
import { modelTypes } from '../../../worker/families/registry.ts';
import { cpuImageSplitter } from '../../../worker/vision/cpu-image-splitter.ts';
import type { decodeImage } from '../../../worker/vision/image-decoder.ts';
import type { NamedTensors } from '../../../worker/vision/vision-inputs.ts';
import { ImageCache } from '../../../worker/vision/image-cache.ts';
import { modelFiles, pattern, sha256 } from '../vision/fixtures.ts';

/** Files and golden values that `test/fixtures/families/make.py` writes with the Python reference. */
const FIXTURES = new URL('../../fixtures/families/', import.meta.url);
const FAMILIES = ['gemma3', 'lfm2', 'llava', 'qwen'] as const;

interface GoldenImage {
  size: [number, number];
  splitting?: boolean;
  shape: number[];
  sha256: string;
  /** Of Qwen: frames, rows and columns. Of LFM2: rows and columns of tiles. */
  grid?: number[];
  spatialShapes?: number[][];
  /** The patches of each crop. */
  masked?: number[];
}

interface GoldenChat {
  turns: { role: Turn['role']; content: { type: 'text' | 'image'; text?: string; size?: [number, number] }[] }[];
  /** Runs: [id, count, id, count, …]. */
  ids: number[];
  positions?: number[][] | null;
  next?: number;
}

/** An image's bytes are its width and height. */
const decode: typeof decodeImage = async ({ bytes }) => {
  const [width = 0, height = 0] = new Uint32Array(bytes.buffer);
  return pattern(width, height);
};

const tools: FamilyTools = { openTokenizer, openChatTemplate, imageCache: () => new ImageCache(decode) };

function imagePart(size: readonly [number, number], detail: Detail = 'auto'): TurnPart {
  const bytes = new Uint8Array(Uint32Array.from(size).buffer);
  return { type: 'image', bytes, detail, param: 'messages[0].content[0].image_url' };
}

function filesOf(family: string): Map<string, Uint8Array> {
  return modelFiles(new URL(`${family}/`, FIXTURES));
}

function open(family: string, files: ReadonlyMap<string, Uint8Array> = filesOf(family)): Processor {
  const processor = openOtherProcessor(files, tools);
  if (!processor) throw new Error('the family is not known');
  return processor;
}

async function prompt(processor: Processor, turns: readonly Turn[]) {
  return processor.encodeChat(turns, Infinity, true, new AbortController().signal);
}

/** The inputs of the vision encoder for one image. */
async function inputsOf(processor: Processor, part: TurnPart): Promise<{ inputs: NamedTensors; tokens: number }> {
  const { images } = await prompt(processor, [{ role: 'user', parts: [part] }]);
  const [image] = images;
  const opened = await image!.open(cpuImageSplitter, new AbortController().signal);
  return { inputs: await opened.batch(0, image!.crops), tokens: image!.tokens };
}

function expand(runs: readonly number[]): number[] {
  const ids: number[] = [];
  for (let i = 0; i < runs.length; i += 2) ids.push(...Array<number>(runs[i + 1]!).fill(runs[i]!));
  return ids;
}

const numbers = (tensor: NamedTensors[string] | undefined): number[] => {
  if (!(tensor?.data instanceof BigInt64Array)) throw new Error('no integers');
  return Array.from(tensor.data, Number);
};

describe.each(FAMILIES)('%s', (family) => {
  const golden = JSON.parse(readFileSync(new URL(`${family}/golden.json`, FIXTURES), 'utf8')) as {
    images: GoldenImage[];
    chats: GoldenChat[];
  };

  it.each(golden.images)(
    '$size (tiles: $splitting): the pixels of the Python processor, to the bit',
    async (expected) => {
      const detail = expected.splitting === false ? 'low' : 'auto';
      const { inputs } = await inputsOf(open(family), imagePart(expected.size, detail));
      const { pixel_values: pixels, image_grid_thw: grid, pixel_attention_mask: mask, spatial_shapes: shapes } = inputs;
      expect(pixels?.dims).toEqual(expected.shape);
      if (!(pixels?.data instanceof Float32Array)) throw new Error('not in memory');
      expect(sha256(pixels.data)).toBe(expected.sha256);
      if (family === 'qwen') expect(numbers(grid)).toEqual(expected.grid);
      if (family !== 'lfm2') return;
      expect(numbers(shapes)).toEqual(expected.spatialShapes?.flat());
      const [, most = 0] = expected.shape;
      const patches = expected.masked!.flatMap((count) =>
        Array.from({ length: most }, (_, at) => (at < count ? 1 : 0)),
      );
      expect(numbers(mask)).toEqual(patches);
    },
  );

  it('encodes every chat to the ids of the Python processor, and counts positions as its model does', async () => {
    const processor = open(family);
    for (const { turns, ids, positions, next } of golden.chats) {
      const chat = turns.map(({ role, content }): Turn => ({
        role,
        parts: content.map(({ type, text = '', size }) => (type === 'text' ? { type, text } : imagePart(size!))),
      }));
      const found = await prompt(processor, chat);
      expect({ turns, ids: [...found.ids] }).toEqual({ turns, ids: expand(ids) });
      const rows = found.images.reduce((sum, image) => sum + image.tokens, 0);
      expect(found.ids.filter((id) => id === processor.imageTokenId).length).toBe(rows);
      expect(found.positions?.next).toBe(next);
      if (positions) expect(found.positions?.axes.map((axis) => [...axis])).toEqual(positions.map(expand));
    }
  });

  it('joins the bytes of tokens to the text', () => {
    const { tokenizer } = open(family);
    for (const { turns } of golden.chats) {
      const text = (turns[0]?.content[0]?.text ?? '').normalize('NFC');
      const bytes = tokenizer.encode(text).flatMap((id) => [...tokenizer.bytes(id)]);
      // SentencePiece has one sign for a space and for the sign itself.
      const expected = family === 'gemma3' ? text.replaceAll('\u2581', ' ') : text;
      expect(new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(bytes))).toBe(expected);
    }
  });

  it('makes example inputs with the names and types of an image', async () => {
    const processor = open(family);
    const { inputs } = await inputsOf(processor, imagePart([64, 64]));
    const example = processor.encoderInputs.example(2, (length) => new Float32Array(length));
    const types = (tensors: NamedTensors) => Object.entries(tensors).map(([name, { type }]) => [name, type]);
    expect(types(example)).toEqual(types(inputs));
    for (const { dims, data } of Object.values(example)) {
      expect((data as Float32Array).length).toBe(dims.reduce((product, dim) => product * dim, 1));
    }
  });
});

describe('a config that needs what is not implemented is refused', () => {
  /** A family's files with some fields of one changed; undefined removes a field. */
  function changed(family: string, name: string, change: object): ReadonlyMap<string, Uint8Array> {
    const files = filesOf(family);
    const json: object = JSON.parse(new TextDecoder().decode(files.get(name)));
    return files.set(name, new TextEncoder().encode(JSON.stringify({ ...json, ...change })));
  }

  const preprocessor = 'preprocessor_config.json';
  it.each([
    ['llava', preprocessor, { do_center_crop: false }, 'do_center_crop should be true, and is false'],
    ['llava', preprocessor, { do_pad: true }, 'do_pad should be false, and is true'],
    ['llava', preprocessor, { size: { shortest_edge: 32 } }, 'size.shortest_edge should be at least 64, and is 32'],
    ['llava', preprocessor, { crop_size: { height: 64, width: 32 } }, 'crop_size.width should be 64'],
    ['llava', preprocessor, { resample: 0 }, 'resample should be 1, 2 or 3'],
    ['llava', preprocessor, { do_rescale: false }, 'do_rescale should be true'],
    ['llava', preprocessor, { image_std: [1] }, 'image_std should be a list of 3 numbers'],
    [
      'llava',
      'config.json',
      { image_token_index: 5 },
      'image_token_index should be the id of a special token, and is 5',
    ],
    ['gemma3', preprocessor, { do_pan_and_scan: true }, 'do_pan_and_scan should be false, and is true'],
    ['gemma3', preprocessor, { image_seq_length: 256 }, 'image_seq_length should be 4, and is 256'],
    ['gemma3', preprocessor, { size: { height: 56, width: 28 } }, 'size.width should be 56'],
    ['gemma3', 'tokenizer.json', { normalizer: null }, 'normalizer.type should be "Replace"'],
    ['gemma3', 'tokenizer.json', { decoder: { type: 'Fuse' } }, 'decoder should be the decoder of SentencePiece'],
    ['qwen', preprocessor, { merge_size: 4 }, 'vision_config.spatial_merge_size should be 4, and is 2'],
    ['qwen', preprocessor, { do_resize: false }, 'do_resize should be true'],
    ['qwen', 'tokenizer.json', { normalizer: { type: 'NFKC' } }, 'normalizer.type should be "NFC"'],
    ['lfm2', preprocessor, { do_pad: false }, 'do_pad should be true'],
    ['lfm2', preprocessor, { min_tiles: 1 }, 'min_tiles should be at least 2'],
    ['lfm2', preprocessor, { max_tiles: 7 }, 'added_tokens should be a list with <|img_row_7_col_1|>'],
    ['lfm2', preprocessor, { tile_size: 60 }, 'tile_size should be a multiple of 16'],
    ['lfm2', 'config.json', { use_image_special_tokens: false }, 'use_image_special_tokens should be true'],
    [
      'lfm2',
      'tokenizer.json',
      { post_processor: { type: 'BertProcessing' } },
      'post_processor should be one special token, then the text',
    ],
    [
      'lfm2',
      'tokenizer.json',
      { post_processor: { type: 'TemplateProcessing', single: [{ Sequence: { id: 'A', type_id: 0 } }] } },
      'post_processor should be one special token, then the text',
    ],
  ] as const)('%s: %s with %j', (family, name, change, message) => {
    expect(() => open(family, changed(family, name, change))).toThrow(
      expect.objectContaining({ code: 'load_failed', message: expect.stringContaining(message) }),
    );
  });

  it('lfm2: tokenizer.json without the tag of a tile that is the last of no grid', () => {
    const { added_tokens: tokens } = JSON.parse(new TextDecoder().decode(filesOf('lfm2').get('tokenizer.json'))) as {
      added_tokens: { content: string }[];
    };
    const tag = '<|img_row_1_col_1|>';
    const fewer = { added_tokens: tokens.filter(({ content }) => content !== tag) };
    expect(() => open('lfm2', changed('lfm2', 'tokenizer.json', fewer))).toThrow(
      expect.objectContaining({ code: 'load_failed', message: expect.stringContaining(tag) }),
    );
  });

  it('but not one whose steps are in processor_config.json, or whose limits have older names', async () => {
    const files = filesOf('qwen');
    const fields = JSON.parse(new TextDecoder().decode(files.get(preprocessor))) as { size: Record<string, number> };
    const { size, ...rest } = fields;
    const nested = {
      ...rest,
      do_normalize: false,
      min_pixels: size['shortest_edge'],
      max_pixels: size['longest_edge'],
    };
    files.delete(preprocessor);
    files.set('processor_config.json', new TextEncoder().encode(JSON.stringify({ image_processor: nested })));
    const { inputs } = await inputsOf(open('qwen', files), imagePart([96, 64]));
    const { inputs: usual } = await inputsOf(open('qwen'), imagePart([96, 64]));
    expect(inputs['pixel_values']?.dims).toEqual(usual['pixel_values']?.dims);
    const values = inputs['pixel_values']?.data as Float32Array;
    // Levels as they are, from 0 to 1.
    expect(Math.min(...values)).toBeGreaterThanOrEqual(0);
  });
});

describe('limits', () => {
  it("Qwen's feature rows follow the request's detail, within the config's range", async () => {
    const files = filesOf('qwen');
    const fields = JSON.parse(new TextDecoder().decode(files.get('preprocessor_config.json'))) as object;
    const size = { shortest_edge: 4096, longest_edge: 1e8 };
    files.set('preprocessor_config.json', new TextEncoder().encode(JSON.stringify({ ...fields, size })));
    const processor = open('qwen', files);
    for (const [detail, most] of [
      ['low', 256],
      ['auto', 1024],
      ['high', 4096],
    ] as const) {
      const { images } = await prompt(processor, [{ role: 'user', parts: [imagePart([1500, 1100], detail)] }]);
      expect(images[0]?.tokens).toBeLessThanOrEqual(most);
      expect(images[0]?.tokens).toBeGreaterThan(most * 0.9);
    }
  });

  it('an image that Qwen cannot read is refused by name', async () => {
    const refused = prompt(open('qwen'), [{ role: 'user', parts: [imagePart([2010, 10])] }]);
    await expect(refused).rejects.toMatchObject({
      code: 'unreadable_image',
      param: 'messages[0].content[0].image_url',
      message: expect.stringContaining('2010 x 10 pixels'),
    });
  });
});

describe('LFM2 refuses an image that is too long for a crop by name, split or not', () => {
  it.each([
    ['auto', 400, 1],
    ['low', 1200, 20],
    ['high', 1, 2000],
    ['auto', 3000, 20],
  ] as const)('%s: %i x %i', async (detail, width, height) => {
    const refused = prompt(open('lfm2'), [{ role: 'user', parts: [imagePart([width, height], detail)] }]);
    await expect(refused).rejects.toMatchObject({
      code: 'unreadable_image',
      param: 'messages[0].content[0].image_url',
      message: expect.stringMatching(
        new RegExp(`is ${width} x ${height} pixels: .* it would have \\d+ patches, and at most 64 fit`),
      ),
    });
  });

  it('and reads what just fits', async () => {
    const { inputs, tokens } = await inputsOf(open('lfm2'), imagePart([256, 16]));
    expect(tokens).toBe(16);
    expect(numbers(inputs['pixel_attention_mask'])).toEqual(Array(64).fill(1));
  });
});

it('no family is both in the registry and here, and unknown ones have no processor', () => {
  expect(otherModelTypes.filter((type) => modelTypes.includes(type))).toEqual([]);
  const files = filesOf('llava').set('config.json', new TextEncoder().encode('{"model_type":"paligemma"}'));
  expect(openOtherProcessor(files, tools)).toBeUndefined();
});
