// @module-tag long
import { expect, it } from 'vitest';
import type { TurnPart } from '../../../src/protocol/job.ts';
import { openProcessor } from '../../../worker/families/registry.ts';
import { cpuImageSplitter } from '../../../worker/vision/cpu-image-splitter.ts';
import { FIXTURES, modelFiles } from '../vision/fixtures.ts';

it('decodes large images again if their pixels are over the limit to keep', async () => {
  // The first and the third fit within the limit, the second does not.
  const files = [4096, 8192, 4096].map((height) => ({ width: 8192, height, data: new Uint8Array(8192 * height * 3) }));
  let decoded = 0;
  const processor = openProcessor(modelFiles(new URL('model/', FIXTURES)), async ({ bytes }) => {
    decoded++;
    return files[bytes[0] ?? 0]!;
  });
  const image = (file: number): TurnPart => ({
    type: 'image',
    bytes: Uint8Array.of(file),
    detail: 'low',
    param: 'p',
  });
  const turns = [{ role: 'user' as const, parts: [image(0), image(1), image(2)] }];
  const { signal } = new AbortController();
  const { images } = await processor.encodeChat(turns, 1e9, true, signal);
  const open = (at: number) => images[at]?.open(cpuImageSplitter, signal);
  expect(decoded).toBe(3);
  await open(0);
  await open(2);
  expect(decoded).toBe(3);
  await open(1);
  expect(decoded).toBe(4);
});
