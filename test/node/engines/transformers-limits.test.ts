import { beforeAll, describe, expect, test } from 'vitest';
import type { ImagePart } from '../../../worker/vision/image-decoder.ts';
import { change, GLM, image, LLAVA, opener, PIXTRAL } from './transformers-families.ts';

const { signal } = new AbortController();

let open: Awaited<ReturnType<typeof opener>>;

beforeAll(async () => {
  open = await opener();
});

describe('the rows of a photo of 2400 x 1800 pixels', () => {
  const glm = change(GLM, 'preprocessor_config', { size: { shortest_edge: 2048, longest_edge: 2 ** 25 } });
  const pixtral = change(PIXTRAL, 'preprocessor_config', { size: { longest_edge: 2400 } });

  // Squares of 32 pixels: 75 by 57, or 56 if edges are rounded.
  test.each([
    ['GLM-OCR', glm, { low: 18 * 13, auto: 36 * 27, high: 73 * 55 }],
    ['GLM-OCR with fewer pixels', GLM, { low: 18 * 13, auto: 36 * 27, high: 36 * 27 }],
    ['Pixtral', pixtral, { low: 18 * 14, auto: 37 * 27, high: 74 * 55 }],
    ['Pixtral with shorter edges', PIXTRAL, { low: 16 * 12, auto: 16 * 12, high: 16 * 12 }],
    ['LLaVA, which scales all to one size', LLAVA, { low: 36, auto: 36, high: 36 }],
  ])('follow detail: %s', async (_, configs, expected) => {
    const processor = open(configs);
    const keys = new Set<string>();
    for (const [detail, rows] of Object.entries(expected) as [ImagePart['detail'], number][]) {
      const turns = [{ role: 'user' as const, parts: [image(2400, 1800, detail)] }];
      const [one] = (await processor.encodeChat(turns, 1e8, true, signal)).images;
      expect([detail, one?.tokens]).toEqual([detail, rows]);
      keys.add(one!.key);
    }
    expect(keys.size).toBe(new Set(Object.values(expected)).size);
  });

  test('are within the limit whatever the image is, and as the config says where that is less', async () => {
    const processor = open(pixtral);
    const sizes = [
      [1023, 1025],
      [3000, 31],
      [31, 3000],
      [1500, 700],
      [1, 1],
      [1025, 1023],
    ] as const;
    for (const [width, height] of sizes) {
      const turns = [{ role: 'user' as const, parts: [image(width, height)] }];
      const [one] = (await processor.encodeChat(turns, 1e8, true, signal)).images;
      expect(one?.tokens).toBeLessThanOrEqual(1024);
      if (width * height < 2 ** 17) expect(one?.key).toContain('/whole/');
    }
  });
});
