import { existsSync, readFileSync } from 'node:fs';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Device } from '../../../src/protocol/model-spec.ts';
import type { Turn } from '../../../src/protocol/job.ts';
import { openProcessor } from '../../../worker/families/registry.ts';
import { InPlaceDecoder } from '../../../worker/generation/in-place-decoder.ts';
import { PipelinedDecoder } from '../../../worker/generation/pipelined-decoder.ts';
import type { Processor } from '../../../worker/families/processor.ts';
import { cpuImageSplitter } from '../../../worker/vision/cpu-image-splitter.ts';
import {
  type TensorSample,
  tinyAvailable,
  type TinyCase,
  tinyCases,
  tinyFile,
  tinyMissing,
} from '../../fixtures/tiny-folders.ts';
import { type Engine, GREEDY, openEngine } from './dawn-engine.ts';

const FOLDERS = ['smolvlm2-tiny', 'smolvlm2-tiny-gqa', 'granite-docling-tiny'];
const { signal } = new AbortController();

test.skipIf(tinyAvailable)(tinyMissing, () => {});

describe.skipIf(!tinyAvailable).each(FOLDERS)('%s', (folder) => {
  const cases = tinyCases(folder);
  // Its twin has the same processor, and the same layers once they are optimized.
  const twin = folder === 'smolvlm2-tiny-gqa' ? ['long'] : [];
  let processor: Processor;

  beforeAll(() => {
    processor = openProcessor(filesOf(folder), decode);
  });

  test.each(cases)('pixels of $name are the reference’s', { tags: twin }, async ({ request, pixels }) => {
    const { images } = await processor.encodeChat(turnsOf(request), 1e8, true, signal);
    const values = await Promise.all(
      images.map(async (image) => {
        const inputs = await image.open(cpuImageSplitter, signal);
        const { pixel_values } = await inputs.batch(0, image.crops);
        return floats(pixel_values?.data);
      }),
    );
    // One level is 2 / 255; a sum over 786,432 values of each crop hides a few rounded the other way.
    if (pixels) expectSample(values, pixels, 2 / 255, 1e-5);
    else expect(images).toEqual([]);
  });

  describe.each([
    ['wasm', 'fp32'],
    ['wasm', 'q4'],
    ['webgpu', 'fp32'],
    ['webgpu', 'q4'],
  ] as const)('on %s in %s', { timeout: 600_000 }, (device: Device, dtype) => {
    const onDawn = dtype === 'q4' ? 'long' : 'nightly';
    const onWasm = dtype === 'q4' ? twin : ['long'];
    const tags = device === 'webgpu' ? [onDawn] : onWasm;
    let engine: Engine;

    beforeAll(async () => {
      engine = await openEngine(device, (name) => graphOf(folder, name, dtype), 512);
    }, 600_000);

    afterAll(() => engine?.close());

    test.each(cases)('$name', { tags }, async ({ request, promptIds, tokens, features: expected }) => {
      const { ids, images } = await processor.encodeChat(turnsOf(request), 1e8, true, signal);
      expect([...ids]).toEqual(promptIds);
      const { decoder, vision } = engine;
      expect(decoder).toBeInstanceOf(device === 'wasm' ? InPlaceDecoder : PipelinedDecoder);
      expect(decoder.replays).toBe(device === 'webgpu');
      const features = await vision.encode(images, signal);
      if (device === 'wasm' && expected)
        expectSample(
          features.map(({ data }) => floats(data)),
          expected,
          2e-3,
          1e-4,
        );
      decoder.clear();
      await decoder.reset(ids.length + tokens.length);
      await decoder.prefill(ids, processor.imageTokenId, features, signal);
      const sampling = { sampling: GREEDY, prompt: ids, choice: 0, topLogprobs: undefined, limit: tokens.length };
      const sampled: number[] = [];
      for await (const { id } of decoder.sample(sampling, signal)) sampled.push(id);
      expect(sampled).toEqual(tokens);
    });
  });
});

/** Every config of a folder. */
function filesOf(folder: string): Map<string, Uint8Array> {
  const names = ['config', 'generation_config', 'preprocessor_config', 'processor_config', 'tokenizer'];
  const files = [...names.map((name) => `${name}.json`), 'chat_template.json', 'chat_template.jinja'];
  const there = files.filter((name) => existsSync(tinyFile(folder, name)));
  return new Map(there.map((name) => [name, readFileSync(tinyFile(folder, name))]));
}

function graphOf(folder: string, name: string, dtype: 'fp32' | 'q4') {
  const path = `${name}${dtype === 'fp32' ? '' : `_${dtype}`}.onnx`;
  const read = (file: string): Uint8Array => readFileSync(tinyFile(folder, `onnx/${file}`));
  const data = existsSync(tinyFile(folder, `onnx/${path}_data`)) ? [`${path}_data`] : [];
  return { graph: read(path), externalData: data.map((file) => ({ path: file, data: read(file) })) };
}

async function decode({ bytes }: { bytes: Uint8Array }) {
  const { data, info } = await sharp(bytes)
    .removeAlpha()
    .toColourspace('srgb')
    .raw()
    .toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, data: new Uint8Array(data) };
}

function turnsOf({ messages }: TinyCase['request']): Turn[] {
  return messages.map(({ role, content }) => ({
    role,
    parts: content.map((part) => {
      if (part.type === 'text') return part;
      const { url, detail } = part.image_url;
      const bytes = new Uint8Array(Buffer.from(url.slice(url.indexOf(',') + 1), 'base64'));
      return { type: 'image', bytes, detail: detail === 'low' ? 'low' : 'high', param: 'image' };
    }),
  }));
}

function floats(data: unknown): Float32Array {
  if (data instanceof Float32Array) return data;
  throw new Error('no float32 values');
}

/** @param relative of the sum, to the sum of all magnitudes */
function expectSample(pieces: readonly Float32Array[], sample: TensorSample, each: number, relative: number): void {
  const count = pieces.reduce((sum, { length }) => sum + length, 0);
  expect(count).toBe(sample.shape.reduce((product, dim) => product * dim, 1));
  const difference = (some: readonly number[], values: Float32Array): number =>
    Math.max(...some.map((value, at) => Math.abs(value - (values[at] ?? NaN))));
  expect(difference(sample.first16, pieces[0]!)).toBeLessThanOrEqual(each);
  expect(difference(sample.last16, pieces.at(-1)!.subarray(-16))).toBeLessThanOrEqual(each);
  let sum = 0;
  // Millions of values: no callback for each.
  for (const piece of pieces) for (const value of piece) sum += value;
  expect(Math.abs(sum - sample.sum) / sample.abs_sum).toBeLessThan(relative);
}
