import { describe, expect, it } from 'vitest';
import type { Detail, Turn } from '../../../src/protocol/job.ts';
import type { decodeImage } from '../../../worker/vision/image-decoder.ts';
import { openProcessor } from '../../../worker/families/registry.ts';
import type { Rgb } from '../../../worker/backend/image-splitter.ts';
import { cpuImageSplitter } from '../../../worker/vision/cpu-image-splitter.ts';
import { FIXTURES, modelFiles, pattern, readJson } from '../vision/fixtures.ts';

const files = modelFiles(new URL('model/', FIXTURES));
const never = new AbortController().signal;

/** One user turn for each detail, with an empty image: the fake decoder ignores it. */
function chat(...details: Detail[]): Turn[] {
  return details.map((detail) => ({
    role: 'user',
    parts: [{ type: 'image', bytes: new Uint8Array(), detail, param: 'messages[0].content[0].image_url' }],
  }));
}

function decoding(image: Rgb): typeof decodeImage {
  return async () => image;
}

describe('opening a model', () => {
  it('reads the config, with the stop token from the generation config', () => {
    expect(openProcessor(files).config).toEqual({
      vocab: 943,
      maxPositions: 512,
      stopIds: [openProcessor(files).imageTokenId + 1],
    });
  });

  /** The files with some fields of one changed; undefined removes a field. */
  function changed(name: string, change: object): ReadonlyMap<string, Uint8Array> {
    const json: object = JSON.parse(new TextDecoder().decode(files.get(name)));
    return new Map(files).set(name, new TextEncoder().encode(JSON.stringify({ ...json, ...change })));
  }

  it.for([
    [
      'config.json',
      { model_type: 'llava' },
      'config.json: model_type should be one of idefics3, smolvlm, and is "llava"',
    ],
    ['config.json', { image_token_id: 5 }, 'image_token_id should be the id of <image>, and is 5'],
    ['config.json', { vision_config: { image_size: 32, patch_size: 8 } }, 'num_attention_heads should be a positive'],
    ['config.json', { scale_factor: 0 }, 'scale_factor should be a positive whole number, and is 0'],
    ['config.json', { text_config: {} }, 'text_config.vocab_size should be a positive whole number, and is nothing'],
    ['processor_config.json', { image_seq_len: 64 }, 'image_seq_len should be 4, and is 64'],
    ['preprocessor_config.json', { resample: 3 }, 'resample should be 1, and is 3'],
    ['preprocessor_config.json', { image_mean: [0.5] }, 'image_mean should be a list of 3 numbers'],
    [
      'preprocessor_config.json',
      { size: { longest_edge: 224 } },
      'size.longest_edge should be at most 192, and is 224',
    ],
    ['preprocessor_config.json', { max_image_size: { longest_edge: 64 } }, 'vision_config.image_size should be 64'],
    ['generation_config.json', { eos_token_id: undefined }, 'eos_token_id should be a list of numbers, and is nothing'],
    ['chat_template.json', { chat_template: 1 }, 'chat_template should be a string'],
    ['chat_template.json', { chat_template: 'x'.repeat(65_537) }, 'chat template has 65537 characters'],
    ['chat_template.json', { chat_template: '{{ messages.nothing.nothing() }}' }, 'chat template fails'],
    [
      'chat_template.json',
      { chat_template: `${'{% for i in range(10000) %}'.repeat(3)}x${'{% endfor %}'.repeat(3)}` },
      'chat template takes longer than 2 s',
    ],
    [
      'tokenizer.json',
      { pre_tokenizer: { type: 'Split', pattern: { Regex: '(a+)+$' }, behavior: 'Isolated', invert: false } },
      'pre_tokenizer should be one that is known, without the split pattern {"Regex":"(a+)+$"}',
    ],
    ['tokenizer.json', { normalizer: { type: 'NFKC' } }, 'normalizer.type should be "NFC", and is "NFKC"'],
    [
      'tokenizer.json',
      { added_tokens: [{ id: 1, content: '<s>', special: true, lstrip: true }] },
      'match by name alone',
    ],
  ] as const)('refuses %s with %o', ([name, change, message]) => {
    expect(() => openProcessor(changed(name, change))).toThrow(
      expect.objectContaining({ code: 'load_failed', message: expect.stringContaining(message) }),
    );
  });

  it('takes a template from a file of its own first', async () => {
    const template = new TextEncoder().encode("{{ messages[0]['content'][0]['text'] }}{{ messages | length }}");
    const { encodeChat, tokenizer } = openProcessor(new Map(files).set('chat_template.jinja', template));
    const turns: Turn[] = [{ role: 'user', parts: [{ type: 'text', text: 'Hello' }] }];
    const { ids } = await encodeChat(turns, 1e6, true, never);
    expect([...ids]).toEqual(tokenizer.encode('Hello1'));
  });

  it('reads how images are scaled from a part of processor_config.json where they have no file', async () => {
    const image_processor: unknown = JSON.parse(new TextDecoder().decode(files.get('preprocessor_config.json')));
    const nested = new Map(changed('processor_config.json', { image_processor }));
    nested.delete('preprocessor_config.json');
    const keysOf = async (of: typeof files): Promise<string[]> => {
      const { images } = await openProcessor(of, decoding(pattern(190, 90))).encodeChat(chat('high'), 1e6, true, never);
      return images.map(({ key }) => key);
    };
    expect(await keysOf(nested)).toEqual(await keysOf(files));
  });

  it('refuses a prompt with a token behind the end of the table, as Granite-Docling has one', async () => {
    const template = new TextEncoder().encode('<image>');
    const small = changed('config.json', { text_config: { vocab_size: 900, max_position_embeddings: 512 } });
    const { encodeChat } = openProcessor(new Map(small).set('chat_template.jinja', template), decoding(pattern(8, 8)));
    await expect(encodeChat(chat('low'), 1e6, true, never)).rejects.toMatchObject({
      code: 'load_failed',
      message: expect.stringMatching(/template writes token 9\d\d, but its embeddings end at 899/) as string,
    });
  });

  it('refuses grids whose tiles have no tag in the vocabulary', () => {
    const json = JSON.parse(new TextDecoder().decode(files.get('tokenizer.json'))) as {
      added_tokens: { content: string }[];
    };
    const added_tokens = json.added_tokens.filter(({ content }) => content !== '<row_4_col_3>');
    expect(() => openProcessor(changed('tokenizer.json', { added_tokens }))).toThrow(
      'size.longest_edge should be at most 96',
    );
  });

  it('reports a file that is not JSON', () => {
    const broken = new Map(files).set('config.json', new TextEncoder().encode('<html>'));
    expect(() => openProcessor(broken)).toThrow("The model's config.json is not JSON.");
  });

  it('reports a missing file', () => {
    const without = new Map(files);
    without.delete('processor_config.json');
    expect(() => openProcessor(without)).toThrow('The model has no processor_config.json');
  });
});

describe('the bytes of tokens', () => {
  const { tokenizer, imageTokenId } = openProcessor(files);
  const { chats } = readJson<{ chats: { turns: { parts: { text?: string }[] }[] }[] }>('prompts.json');

  it('are the text in UTF-8 when they are joined', () => {
    for (const { turns } of chats) {
      const text = turns[0]?.parts[0]?.text ?? '';
      const bytes = tokenizer.encode(text).flatMap((id) => [...tokenizer.bytes(id)]);
      expect(new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(bytes))).toBe(text);
    }
  });

  it('are parts of a character if it takes several tokens', () => {
    const ids = tokenizer.encode('𠜎');
    expect(ids.length).toBeGreaterThan(1);
    expect(ids.every((id) => tokenizer.bytes(id).length < 4)).toBe(true);
  });

  it('are empty for special tokens and ids beyond the vocabulary', () => {
    expect(tokenizer.bytes(imageTokenId)).toEqual(new Uint8Array());
    expect(tokenizer.bytes(1_000_000)).toEqual(new Uint8Array());
  });
});

describe('crops', () => {
  it.for([
    ['low', 64, 48, 1],
    ['low', 1000, 900, 1],
    ['auto', 64, 48, 1],
    ['auto', 65, 48, 13],
    ['auto', 20, 65, 9],
    ['high', 64, 48, 13],
    ['high', 10, 10, 17],
  ] as const)('%s detail of %i x %i pixels: %i', async ([detail, width, height, crops]) => {
    const { images } = await openProcessor(files, decoding(pattern(width, height))).encodeChat(
      chat(detail),
      1e6,
      false,
      never,
    );
    expect(images).toMatchObject([{ crops, tokens: crops * 4 }]);
    const inputs = await images[0]?.open(cpuImageSplitter, never);
    expect(await inputs?.batch(0, crops)).toMatchObject({
      pixel_values: { type: 'float32', dims: [1, crops, 3, 32, 32], data: { length: crops * 3 * 32 * 32 } },
      pixel_attention_mask: { type: 'bool', dims: [1, crops, 32, 32], data: { length: crops * 32 * 32 } },
    });
  });

  it.each([
    [false, 1],
    [undefined, 17],
  ])('follow do_image_splitting, which is true by default as in Python: %s', async (splitting, crops) => {
    const json: object = JSON.parse(new TextDecoder().decode(files.get('preprocessor_config.json')));
    const own = new TextEncoder().encode(JSON.stringify({ ...json, do_image_splitting: splitting }));
    const processor = openProcessor(new Map(files).set('preprocessor_config.json', own), decoding(pattern(300, 300)));
    const { images } = await processor.encodeChat(chat('auto', 'high'), 1e6, false, never);
    expect(images).toMatchObject([{ crops }, { crops: 17 }]);
  });
});

describe('keys of images', () => {
  const keysOf = async (image: Rgb, ...details: Detail[]): Promise<string[]> =>
    (await openProcessor(files, decoding(image)).encodeChat(chat(...details), 1e6, false, never)).images.map(
      ({ key }) => key,
    );

  it('are equal only for equal pixels that are split the same way', async () => {
    const [first, second, tiled] = await keysOf(pattern(40, 30), 'low', 'auto', 'high');
    expect(second).toBe(first);
    expect(tiled).not.toBe(first);
    expect(await keysOf(pattern(40, 30), 'low')).toEqual([first]);
    const other = pattern(40, 30);
    other.data[1234]! ^= 1;
    expect(await keysOf(other, 'low')).not.toEqual([first]);
    expect(await keysOf({ ...pattern(40, 30), width: 30, height: 40 }, 'low')).not.toEqual([first]);
  });
});

describe('the image cache', () => {
  const file = (...bytes: number[]): Turn => ({
    role: 'user',
    parts: [{ type: 'image', bytes: Uint8Array.from(bytes), detail: 'low', param: 'p' }],
  });
  const counting = () => {
    const decoded: number[] = [];
    const processor = openProcessor(files, async ({ bytes: [first = 0] }) => {
      decoded.push(first);
      return pattern(40, 30);
    });
    const keysOf = async (turns: Turn[], maxPixels = 1e6, useCache = true): Promise<string[]> =>
      (await processor.encodeChat(turns, maxPixels, useCache, never)).images.map(({ key }) => key);
    return { processor, decoded, keysOf };
  };

  it('identifies a known file without decoding it, until its pixels are needed', async () => {
    const { processor, decoded, keysOf } = counting();
    const [first] = await keysOf([file(1)]);
    expect(await keysOf([file(1), file(2), file(1)])).toEqual([first, first, first]);
    expect(decoded).toEqual([1, 2]);
    const { images } = await processor.encodeChat([file(1)], 1e6, true, never);
    await images[0]?.open(cpuImageSplitter, never);
    expect(decoded).toEqual([1, 2, 1]);
  });

  it('keeps pixels until they are split, and not to the end of the answer', async () => {
    const { processor, decoded } = counting();
    const { images } = await processor.encodeChat([file(1)], 1e6, true, never);
    await images[0]?.open(cpuImageSplitter, never);
    expect(decoded).toEqual([1]);
    await images[0]?.open(cpuImageSplitter, never);
    expect(decoded).toEqual([1, 1]);
  });

  it('lets the decoder refuse a known image that is over the limit of pixels', async () => {
    const { decoded, keysOf } = counting();
    await keysOf([file(1)]);
    await keysOf([file(1)], 40 * 30 - 1);
    await keysOf([file(1)], 40 * 30);
    expect(decoded).toEqual([1, 1]);
  });

  it('does not know images of requests that do not use it, or from before it was cleared', async () => {
    const { processor, decoded, keysOf } = counting();
    await keysOf([file(1)], 1e6, false);
    await keysOf([file(1)]);
    expect(decoded).toEqual([1, 1]);
    await keysOf([file(1)], 1e6, false);
    await keysOf([file(1)]);
    expect(decoded).toEqual([1, 1, 1, 1]);
    processor.forget();
    await keysOf([file(1)]);
    expect(decoded).toEqual([1, 1, 1, 1, 1]);
  });

  it('keeps the 256 most recently used files', async () => {
    const { decoded, keysOf } = counting();
    for (let i = 0; i < 256; i++) await keysOf([file(i)]);
    await keysOf([file(0)]);
    await keysOf([file(7, 7)]);
    await keysOf([file(0)]);
    await keysOf([file(1)]);
    expect(decoded.slice(256)).toEqual([7, 1]);
  });
});

describe('encoding a chat', () => {
  it('stops between images when it is aborted', async () => {
    const controller = new AbortController();
    let decoded = 0;
    const processor = openProcessor(files, async () => {
      decoded++;
      controller.abort(new Error('aborted here'));
      return pattern(8, 8);
    });
    await expect(processor.encodeChat(chat('low', 'low'), 1e6, false, controller.signal)).rejects.toThrow(
      'aborted here',
    );
    expect(decoded).toBe(1);
  });

  it('refuses a chat template without a placeholder for an image', async () => {
    const template = new TextEncoder().encode(JSON.stringify({ chat_template: 'nothing' }));
    const processor = openProcessor(new Map(files).set('chat_template.json', template), decoding(pattern(8, 8)));
    await expect(processor.encodeChat(chat('low'), 1e6, false, never)).rejects.toMatchObject({ code: 'load_failed' });
  });
});
