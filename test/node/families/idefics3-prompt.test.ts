import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { Detail, Turn } from '../../../src/protocol/job.ts';
import type { decodeImage } from '../../../worker/vision/image-decoder.ts';
import { openProcessor } from '../../../worker/families/registry.ts';
import { FIXTURES, modelFiles, readJson } from '../vision/fixtures.ts';

interface Chat {
  turns: { role: Turn['role']; parts: (TextPart | BlankImage)[] }[];
  /** Runs: [id, count, id, count, …]. */
  ids: number[];
}

interface TextPart {
  type: 'text';
  text: string;
}

interface BlankImage {
  type: 'image';
  width: number;
  height: number;
  detail: Detail;
}

interface Golden {
  chats: Chat[];
  injections: { parts: string[]; ids: number[] }[];
}

/** Only the images' sizes matter here, so their bytes are width and height. */
const blank: typeof decodeImage = async ({ bytes }) => {
  const [width = 0, height = 0] = new Uint32Array(bytes.buffer);
  return { width, height, data: new Uint8Array(width * height * 3) };
};

async function idsOf(processor: ReturnType<typeof openProcessor>, turns: Chat['turns']): Promise<number[]> {
  const job = turns.map(({ role, parts }) => ({
    role,
    parts: parts.map((part) =>
      part.type === 'text'
        ? part
        : {
            type: part.type,
            detail: part.detail,
            bytes: new Uint8Array(Uint32Array.of(part.width, part.height).buffer),
            param: 'messages[0].content[0].image_url',
          },
    ),
  }));
  const { ids, images } = await processor.encodeChat(job, Infinity, true, new AbortController().signal);
  const rows = images.reduce((sum, image) => sum + image.tokens, 0);
  expect(ids.filter((id) => id === processor.imageTokenId).length).toBe(rows);
  return [...ids];
}

function expand(runs: number[]): number[] {
  const ids: number[] = [];
  for (let i = 0; i < runs.length; i += 2) ids.push(...Array<number>(runs[i + 1]!).fill(runs[i]!));
  return ids;
}

function prompts(folder: URL, golden: Golden): void {
  const processor = openProcessor(modelFiles(folder), blank);

  it('encodes every chat to the ids of the Python processor', async () => {
    for (const { turns, ids } of golden.chats) {
      expect(await idsOf(processor, turns), JSON.stringify(turns)).toEqual(expand(ids));
    }
  });

  it.for(golden.injections)('encodes $parts as plain text, not as special tokens', async ({ parts, ids }) => {
    const turns: Chat['turns'] = [{ role: 'user', parts: parts.map((text) => ({ type: 'text', text })) }];
    expect(await idsOf(processor, turns)).toEqual(ids);
  });
}

describe('prompts of the miniature model', () => {
  prompts(new URL('model/', FIXTURES), readJson('prompts.json'));
});

const smolvlm = process.env['SMOLVLM_DIR'];
describe.skipIf(!smolvlm)('prompts of SmolVLM-256M (skipped without SMOLVLM_DIR, the folder of its configs)', () => {
  if (smolvlm) prompts(pathToFileURL(`${smolvlm}/`), readJson('prompts-smolvlm.json'));
});
