import { expect, it } from 'vitest';
import type { TurnPart } from '../../../src/wire/job.ts';
import { openFamily } from '../../../worker/vlm/idefics3.ts';
import { FIXTURES, modelFiles } from './fixtures.ts';

it('of many large pictures, those that were too much to keep are decoded again', async () => {
  const half = { width: 8192, height: 4096, data: new Uint8Array(8192 * 4096 * 3) };
  let decoded = 0;
  const family = openFamily(modelFiles(new URL('model/', FIXTURES)), async () => (decoded++, half));
  const picture = (file: number): TurnPart => ({
    type: 'picture',
    bytes: Uint8Array.of(file),
    detail: 'low',
    param: 'p',
  });
  const turns = [{ role: 'user' as const, parts: [picture(1), picture(2), picture(3)] }];
  const { pictures } = await family.read(turns, 1e9, true, new AbortController().signal);
  expect(decoded).toBe(3);
  await pictures[0]?.pixelValues();
  expect(decoded).toBe(3);
  await pictures[2]?.pixelValues();
  expect(decoded).toBe(4);
});
