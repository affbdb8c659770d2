import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import sharp from 'sharp';
import { expect, it } from 'vitest';
import golden from '../../fixtures/tiny-llava/golden.json' with { type: 'json' };
import type { Turn, TurnPart } from '../../../src/protocol/job.ts';
import { openChatTemplate } from '../../../worker/families/chat-template.ts';
import { openOtherProcessor } from '../../../worker/families/other-families.ts';
import { openTokenizer } from '../../../worker/families/tokenizer.ts';
import { cpuImageSplitter } from '../../../worker/vision/cpu-image-splitter.ts';
import { ImageCache } from '../../../worker/vision/image-cache.ts';
import { modelFiles } from '../vision/fixtures.ts';

// The committed model in FastVLM's layout.

const folder = new URL('../../fixtures/tiny-llava/', import.meta.url);
const { signal } = new AbortController();

function open() {
  const decode = async ({ bytes }: { bytes: Uint8Array }) => {
    const { data, info } = await sharp(bytes).removeAlpha().raw().toBuffer({ resolveWithObject: true });
    return { width: info.width, height: info.height, data: new Uint8Array(data) };
  };
  const tools = { openTokenizer, openChatTemplate, imageCache: () => new ImageCache(decode) };
  const processor = openOtherProcessor(modelFiles(folder), tools);
  if (!processor) throw new Error('the family is not known');
  return processor;
}

it.each(Object.entries(golden.cases))('%s: ids and levels of the Python reference', async (_, expected) => {
  const names: string[] = [];
  const partOf = (part: { type: string; text?: string; image_url?: { url: string } }): TurnPart => {
    if (!part.image_url) return { type: 'text', text: part.text ?? '' };
    names.push(part.image_url.url);
    const bytes = new Uint8Array(readFileSync(new URL(part.image_url.url, folder)));
    return { type: 'image', bytes, detail: 'auto', param: 'image' };
  };
  const turns = expected.messages.map(({ role, content }) => ({
    role,
    parts: typeof content === 'string' ? [{ type: 'text', text: content }] : content.map(partOf),
  })) as Turn[];
  const { ids, images } = await open().encodeChat(turns, 1e8, true, signal);
  expect([...ids]).toEqual(expected.input_ids);
  expect(images.length).toBe(names.length);
  for (const [at, image] of images.entries()) {
    const { pixel_values: pixels } = await (await image.open(cpuImageSplitter, signal)).batch(0, 1);
    const values = pixels?.data;
    if (!(values instanceof Float32Array)) throw new Error('not in memory');
    const levels = gunzipSync(readFileSync(new URL(names[at]!.replace('.png', '.rgb.gz'), folder)));
    const area = levels.length / 3;
    // Planes here, pixels there.
    const found = Array.from(levels, (_level, index) => values[(index % 3) * area + Math.floor(index / 3)]!);
    expect(found.map((value) => Math.round(value * 255))).toEqual([...levels]);
  }
});
