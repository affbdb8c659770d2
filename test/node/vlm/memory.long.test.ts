// @module-tag long
import { expect, it } from 'vitest';
import type { TurnPart } from '../../../src/wire/job.ts';
import { openFamily } from '../../../worker/vlm/idefics3.ts';
import { FIXTURES, modelFiles } from './fixtures.ts';

it('of many large pictures, those that were too much to keep are decoded again', async () => {
  // The first and the third fit together, not so the second.
  const images = [4096, 8192, 4096].map((height) => ({ width: 8192, height, data: new Uint8Array(8192 * height * 3) }));
  let decoded = 0;
  const family = openFamily(modelFiles(new URL('model/', FIXTURES)), async ({ bytes }) => {
    decoded++;
    return images[bytes[0] ?? 0]!;
  });
  const picture = (file: number): TurnPart => ({
    type: 'picture',
    bytes: Uint8Array.of(file),
    detail: 'low',
    param: 'p',
  });
  const turns = [{ role: 'user' as const, parts: [picture(0), picture(1), picture(2)] }];
  const { pictures } = await family.read(turns, 1e9, true, new AbortController().signal);
  expect(decoded).toBe(3);
  await pictures[0]?.pixelValues();
  await pictures[2]?.pixelValues();
  expect(decoded).toBe(3);
  await pictures[1]?.pixelValues();
  expect(decoded).toBe(4);
});
