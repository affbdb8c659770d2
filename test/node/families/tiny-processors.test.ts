import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import sharp from 'sharp';
import { describe, expect, it, test } from 'vitest';
import type { Turn, TurnPart } from '../../../src/protocol/job.ts';
import { openChatTemplate } from '../../../worker/families/chat-template.ts';
import { openOtherProcessor } from '../../../worker/families/other-families.ts';
import { openTokenizer } from '../../../worker/families/tokenizer.ts';
import type { Processor } from '../../../worker/families/processor.ts';
import { cpuImageSplitter } from '../../../worker/vision/cpu-image-splitter.ts';
import { ImageCache } from '../../../worker/vision/image-cache.ts';
import type { decodeImage } from '../../../worker/vision/image-decoder.ts';

const shared = process.env['NEARSIGHT_SHARED'];
const tiny = shared
  ? new URL(`file://${shared}/models/tiny/`)
  : new URL('../../../../shared/models/tiny/', import.meta.url);
const here = existsSync(tiny);

/** Some values of a tensor. */
interface Sample {
  shape: number[];
  sum: number;
  first16: number[];
  last16: number[];
}

/** What the reference gives with one of its backends for images. */
interface Reference {
  pixel_values?: Sample;
  image_features?: Sample | null;
  image_grid_thw?: number[][];
  spatial_shapes?: number[][];
}

interface Case {
  messages: { role: Turn['role']; content: string | { type: 'text' | 'image'; text?: string }[] }[];
  images: string[];
  input_ids: number[];
  template_options?: object;
  python: { pil?: Reference; torchvision?: Reference };
}

const decode: typeof decodeImage = async ({ bytes }) => {
  const { data, info } = await sharp(bytes).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, data: new Uint8Array(data) };
};

const tools = { openTokenizer, openChatTemplate, imageCache: () => new ImageCache(decode) };

/** A folder's files as `openOtherProcessor` takes them. */
function filesOf(folder: URL): Map<string, Uint8Array> {
  const names = readdirSync(folder).filter((name) => /\.(json|jinja)$/.test(name));
  return new Map(names.map((name) => [name, readFileSync(new URL(name, folder))]));
}

function turnsOf({ messages, images }: Case): Turn[] {
  let image = 0;
  const part = (text: string | undefined): TurnPart => {
    if (text !== undefined) return { type: 'text', text };
    const bytes = new Uint8Array(readFileSync(new URL(`pictures/${images[image++] ?? ''}`, tiny)));
    return { type: 'image', bytes, detail: 'auto', param: 'image' };
  };
  return messages.map(({ role, content }) => {
    const texts: (string | undefined)[] =
      typeof content === 'string'
        ? content.split(/(<image>)/).flatMap((text) => (text === '<image>' ? [undefined] : text === '' ? [] : [text]))
        : content.map(({ type, text = '' }) => (type === 'text' ? text : undefined));
    return { role, parts: texts.map(part) };
  });
}

/** The vision encoder's inputs and outputs for all images of a prompt. */
async function encode(images: Awaited<ReturnType<Processor['encodeChat']>>['images'], session: InferenceSession) {
  const inputs = new Map<string, (number | bigint)[]>();
  const features: number[] = [];
  for (const image of images) {
    const opened = await image.open(cpuImageSplitter, new AbortController().signal);
    const feeds: Record<string, Tensor> = {};
    for (const [name, { type, dims, data }] of Object.entries(await opened.batch(0, image.crops))) {
      if (!ArrayBuffer.isView(data)) throw new Error('not in memory');
      feeds[name] = new Tensor(type, data, dims);
      const all = inputs.get(name) ?? [];
      for (const value of data as unknown as Iterable<number | bigint>) all.push(value);
      inputs.set(name, all);
    }
    const { image_features: found } = await session.run(feeds);
    if (!(found?.data instanceof Float32Array)) throw new Error('no float32 features');
    expect(found.data.length / found.dims.at(-1)!).toBe(image.tokens);
    features.push(...found.data);
  }
  return { inputs, features };
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

function expectClose(values: readonly number[], sample: Sample, most: number, mean: number): void {
  expect(values.length).toBe(sample.shape.reduce((product, edge) => product * edge, 1));
  const ends = [values.slice(0, 16), values.slice(-16)];
  for (const [at, expected] of [sample.first16, sample.last16].entries()) {
    for (const [index, value] of expected.entries()) expect(Math.abs(value - ends[at]![index]!)).toBeLessThan(most);
  }
  expect(Math.abs(sum(values) - sample.sum) / values.length).toBeLessThan(mean);
}

test.skipIf(here)('the tiny models are not here: set NEARSIGHT_SHARED to the folder that has them', () => {});

describe.skipIf(!here).each([
  // Values of one grey level.
  ['fastvlm-tiny', 1 / 255],
  ['gemma3-tiny', 2 / 255],
  ['qwen3.5-tiny', 2 / 255],
  ['lfm2-vl-tiny', 2 / 255],
])('%s', (name, level) => {
  const folder = new URL(`${name}/`, tiny);
  const golden = (here ? JSON.parse(readFileSync(new URL('golden.json', folder), 'utf8')) : { cases: {} }) as {
    cases: Record<string, Case>;
    tokenizer: { cases: { text: string; ids: number[]; decoded: string }[] };
  };
  // Some cases show what transformers.js makes of options that a chat does not have.
  const cases = Object.entries(golden.cases).filter(
    ([title, { template_options: options }]) => !options && title !== 'bos-twice',
  );
  const open = (): Processor => {
    const processor = openOtherProcessor(filesOf(folder), tools);
    if (!processor) throw new Error('the family is not known');
    return processor;
  };

  it.each(cases)('%s: ids, pixels and features of the Python reference', async (_, expected) => {
    const processor = open();
    const { ids, images } = await processor.encodeChat(turnsOf(expected), 1e8, true, new AbortController().signal);
    expect([...ids]).toEqual(expected.input_ids);
    const session = await InferenceSession.create(new URL('onnx/vision_encoder.onnx', folder).pathname);
    const { inputs, features } = await encode(images, session);
    expect(images.length).toBe(expected.images.length);
    for (const [backend, reference] of Object.entries(expected.python)) {
      if (typeof reference !== 'object' || !reference.pixel_values) continue;
      const exact = backend === 'pil';
      expectClose(
        inputs.get('pixel_values') as number[],
        reference.pixel_values,
        exact ? 1e-6 : level * 1.01,
        exact ? 1e-6 : level / 10,
      );
      if (reference.image_features)
        expectClose(features, reference.image_features, exact ? 1e-3 : 0.2, exact ? 1e-4 : 0.02);
      const shapes = inputs.get('image_grid_thw') ?? inputs.get('spatial_shapes');
      expect(shapes?.map(Number)).toEqual((reference.image_grid_thw ?? reference.spatial_shapes)?.flat());
    }
  });

  it.runIf(name === 'qwen3.5-tiny')('drops what earlier answers thought, as the template says', async () => {
    const chat = (answer: string): Turn[] =>
      ['Hello', answer, 'And now?'].map((text, at) => ({
        role: at === 1 ? 'assistant' : 'user',
        parts: [{ type: 'text', text }],
      }));
    const idsOf = async (answer: string): Promise<number[]> => {
      const { ids } = await open().encodeChat(chat(answer), 1e8, true, new AbortController().signal);
      return [...ids];
    };
    expect(await idsOf('<think>\nIs it 3?\n</think>\n\nYes.')).toEqual(await idsOf('Yes.'));
  });

  it('encodes texts to the ids of the Python tokenizer, whose bytes are the text again', () => {
    const { tokenizer } = open();
    const isSpecial = (id: number): boolean => tokenizer.bytes(id).length === 0;
    for (const { text, ids, decoded } of golden.tokenizer.cases) {
      const actual = tokenizer.encode(text);
      // Names of special tokens are text, unlike there.
      if (ids.some(isSpecial)) expect(actual.some(isSpecial)).toBe(false);
      else {
        expect({ text, ids: actual }).toEqual({ text, ids });
        const bytes = ids.flatMap((id) => [...tokenizer.bytes(id)]);
        expect(new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(bytes))).toBe(decoded);
      }
    }
  });
});
