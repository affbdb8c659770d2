import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import type { Turn, TurnPart } from '../../../src/protocol/job.ts';
import { readHeader } from '../../../worker/vision/image-header.ts';
import { openProcessor } from '../../../worker/families/registry.ts';
import { modelFiles } from '../vision/fixtures.ts';

interface Case {
  name: string;
  messages: { role: Turn['role']; content: string | Content[] }[];
  split: boolean;
  frames: number;
  input_ids: number[];
}

type Content = { type: 'text'; text: string } | { type: 'image_url'; image_url: { url: string } };

const golden = new URL('../../fixtures/glimpse/', import.meta.url);
const { cases }: { cases: Case[] } = JSON.parse(readFileSync(new URL('golden.json', golden), 'utf8'));

// The prompt depends only on the image's size, and Node cannot decode images: blank pixels are enough.
const processor = openProcessor(modelFiles(new URL('../../../models/glimpse/', import.meta.url)), async ({ bytes }) => {
  const { width, height } = readHeader(bytes);
  return { width, height, data: new Uint8Array(width * height * 3) };
});

it.for(cases)('encodes $name to the ids of the Python processor', async ({ messages, split, ...expected }) => {
  const turns = messages.map(({ role, content }): Turn => {
    const parts: Content[] = typeof content === 'string' ? [{ type: 'text', text: content }] : content;
    return { role, parts: parts.map((part) => (part.type === 'text' ? part : image(part.image_url.url, split))) };
  });
  const { ids, images } = await processor.encodeChat(turns, 1e8, true, new AbortController().signal);
  expect(images.reduce((sum, { crops }) => sum + crops, 0)).toBe(expected.frames);
  expect([...ids]).toEqual(expected.input_ids);
});

function image(file: string, split: boolean): TurnPart {
  const bytes = new Uint8Array(readFileSync(new URL(file, golden)));
  return { type: 'image', bytes, detail: split ? 'high' : 'low', param: file };
}
