import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { ImageSettings } from '../../../worker/families/idefics3/idefics3-tiles.ts';
import type { ImageSettings as PatchSettings } from '../../../worker/families/qwen/qwen-settings.ts';
import type { TestPage } from '../harness/harness.ts';
import { openWorkerPage, order } from '../harness/worker-page.ts';
import type { Outcome } from './split-image-worker.ts';

const folder = new URL('../../fixtures/glimpse/', import.meta.url);
const levels = { mean: [0.5, 0.4, 0.3], std: [0.5, 0.2, 0.7] };

let page: TestPage;

beforeAll(async () => {
  page = await openWorkerPage(new URL('split-image-worker.ts', import.meta.url));
});

afterAll(() => page[Symbol.asyncDispose]());

it.for([
  ['large.jpg', false],
  ['split-wide.jpg', true],
  ['alpha-frog.png', true],
  ['tall.png', false],
  ['corner.gif', false],
] as const)('%s (tiles: %s) is split into the same bits on the GPU as on the CPU', async ([file, splitting]) => {
  const settings: ImageSettings = { cropSize: 96, longestEdge: 192, splitting, ...levels };
  const bytes = readFileSync(new URL(file, folder));
  const outcome = await order<Outcome>(page, { bytes, settings });
  expect(outcome).toMatchObject({ different: 0 });
  expect(outcome).toHaveProperty('values', expect.any(Number));
  if ('values' in outcome) expect(outcome.values % (3 * 96 * 96)).toBe(0);
});

it.for(['bicubic', 'bilinear'] as const)(
  'patches in frames (%s) have the same bits on the GPU as on the CPU',
  async (filter) => {
    const pixels = { minPixels: 10_000, maxPixels: 60_000 };
    const settings: PatchSettings = { patch: 8, merge: 2, frames: 2, ...pixels, levels: { filter, ...levels } };
    const bytes = readFileSync(new URL('split-wide.jpg', folder));
    const outcome = await order<Outcome>(page, { bytes, settings });
    expect(outcome).toMatchObject({ different: 0 });
    if ('values' in outcome) expect(outcome.values / (3 * 2 * 8 * 8)).toBeGreaterThan(100);
  },
);
