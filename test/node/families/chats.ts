import { expect, it } from 'vitest';
import type { Detail, Turn } from '../../../src/protocol/job.ts';
import type { decodeImage } from '../../../worker/vision/image-decoder.ts';
import { openProcessor } from '../../../worker/families/registry.ts';

/** A chat with the ids of the Python processor. */
export interface Chat {
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

/** Only the images' sizes matter here, so their bytes are width and height. */
export const blank: typeof decodeImage = async ({ bytes }) => {
  const [width = 0, height = 0] = new Uint32Array(bytes.buffer);
  return { width, height, data: new Uint8Array(width * height * 3) };
};

/** The ids of a chat, with an image token for each row of its images. */
export async function idsOf(processor: ReturnType<typeof openProcessor>, turns: Chat['turns']): Promise<number[]> {
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

/** Ids from runs. */
export function expand(runs: number[]): number[] {
  const ids: number[] = [];
  for (let i = 0; i < runs.length; i += 2) ids.push(...Array<number>(runs[i + 1]!).fill(runs[i]!));
  return ids;
}

export function encodesChats(open: () => ReadonlyMap<string, Uint8Array>, chats: readonly Chat[]): void {
  it('encodes every chat to the ids of the Python processor', async () => {
    const processor = openProcessor(open(), blank);
    for (const { turns, ids } of chats) {
      expect(await idsOf(processor, turns), JSON.stringify(turns)).toEqual(expand(ids));
    }
  });
}
