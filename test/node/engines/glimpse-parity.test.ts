/** glimpse's folder is an ordinary model folder: transformers.js loads it unchanged and, from the same pixels, says the same. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { AutoModelForImageTextToText, AutoTokenizer, env, Tensor } from '@huggingface/transformers';
import { beforeAll, expect, test } from 'vitest';

interface Golden {
  cases: {
    name: string;
    prompt: string;
    input_ids: number[];
    frames: number;
    answer: { ids: number[]; text: string };
  }[];
  pixels: { case: string; file: string; shape: [crops: number, height: number, width: number, channels: number] }[];
}

const folder = new URL('../../fixtures/glimpse/', import.meta.url);
const golden: Golden = JSON.parse(readFileSync(new URL('golden.json', folder), 'utf8'));
const cases = golden.cases.filter(
  ({ name, frames: crops }) => crops === 0 || golden.pixels.some((pixels) => pixels.case === name),
);

/** [1, crops, 3, height, width] in -1..1, from the stored levels. */
function pixelValues(name: string): { pixel_values: Tensor; pixel_attention_mask: Tensor } | undefined {
  const stored = golden.pixels.find((pixels) => pixels.case === name);
  if (!stored) return undefined;
  const [crops, height, width, channels] = stored.shape;
  const levels = gunzipSync(readFileSync(new URL(stored.file, folder)));
  const values = new Float32Array(levels.length);
  const plane = height * width;
  for (let i = 0; i < levels.length; i++) {
    const crop = Math.floor(i / (plane * channels));
    const pixel = Math.floor(i / channels) % plane;
    values[(crop * channels + (i % channels)) * plane + pixel] = levels[i]! / 127.5 - 1;
  }
  return {
    pixel_values: new Tensor('float32', values, [1, crops, channels, height, width]),
    pixel_attention_mask: new Tensor('bool', new Uint8Array(crops * plane).fill(1), [1, crops, height, width]),
  };
}

const int64 = (values: number[]) => new Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length]);

let model: Awaited<ReturnType<typeof AutoModelForImageTextToText.from_pretrained>>;

beforeAll(async () => {
  env.allowRemoteModels = false;
  env.localModelPath = fileURLToPath(new URL('../../../models/', import.meta.url));
  model = await AutoModelForImageTextToText.from_pretrained('glimpse', { dtype: 'q4' });
}, 60_000);

test.each(cases)(
  'transformers.js answers as the golden files do: $name',
  async ({ name, input_ids, answer }) => {
    const output = await model.generate({
      input_ids: int64(input_ids),
      attention_mask: int64(input_ids.map(() => 1)),
      ...pixelValues(name),
      max_new_tokens: 32,
      do_sample: false,
    });
    const ids = Array.from((output as Tensor).data as BigInt64Array, Number);
    expect(ids.slice(input_ids.length)).toEqual(answer.ids);
  },
  60_000,
);

test('the tokenizer decodes the golden answers', async () => {
  const tokenizer = await AutoTokenizer.from_pretrained('glimpse');
  for (const { answer } of golden.cases)
    expect(tokenizer.decode(answer.ids, { skip_special_tokens: true }).trim()).toBe(answer.text);
});
