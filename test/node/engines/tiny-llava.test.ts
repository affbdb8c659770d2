import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { AutoModelForImageTextToText, env, Tensor } from '@huggingface/transformers';
import { afterAll, expect, test } from 'vitest';
import golden from '../../fixtures/tiny-llava/golden.json' with { type: 'json' };

// The library that the second engine is made of runs the committed model of another family, from the reference's pixels.

const folder = 'test/fixtures/tiny-llava';
const EDGE = 128;

env.allowRemoteModels = false;
env.localModelPath = '';
const opened = { fp32: open('fp32'), q4: open('q4') };

async function open(dtype: 'fp32' | 'q4') {
  return AutoModelForImageTextToText.from_pretrained(join(process.cwd(), folder), { dtype });
}

afterAll(async () => {
  for (const model of Object.values(opened)) await (await model).dispose();
});

/** `pixel_values` of the images that a case names. */
function pixelsOf(names: readonly string[]): Tensor | undefined {
  if (names.length === 0) return undefined;
  const values = new Float32Array(names.length * 3 * EDGE * EDGE);
  for (const [image, name] of names.entries()) {
    const levels = gunzipSync(readFileSync(join(folder, name.replace('.png', '.rgb.gz'))));
    for (let at = 0; at < EDGE * EDGE; at++) {
      for (let channel = 0; channel < 3; channel++) {
        values[(image * 3 + channel) * EDGE * EDGE + at] = (levels[at * 3 + channel] ?? 0) / 255;
      }
    }
  }
  return new Tensor('float32', values, [names.length, 3, EDGE, EDGE]);
}

const ids = (values: readonly number[]) => new Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length]);

const cases = Object.entries(golden.cases).map(([name, one]) => [name, one] as const);
test.for(cases)('%s: transformers.js answers as PyTorch does, in both precisions', async ([, one]) => {
  const names = one.messages
    .flatMap(({ content }) => (typeof content === 'string' ? [] : content))
    .flatMap((part) => ('image_url' in part && part.image_url ? [part.image_url.url] : []));
  for (const model of Object.values(opened)) {
    const inputs = { input_ids: ids(one.input_ids), attention_mask: ids(one.input_ids.map(() => 1)) };
    const pixels = pixelsOf(names);
    const output = await (
      await model
    ).generate({
      ...inputs,
      ...(pixels && { pixel_values: pixels }),
      max_new_tokens: one.tokens.length,
      do_sample: false,
    });
    const all = Array.from((output as Tensor).data as BigInt64Array, Number);
    expect(all.slice(one.input_ids.length)).toEqual(one.tokens);
  }
});
