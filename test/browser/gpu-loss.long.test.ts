/** A GPU that is lost while a model is loaded, at twenty moments: `gpu-failures.test.ts` has three of them. */
import { test } from 'vitest';
import { loseAt, MOMENTS } from './device-loss.ts';
import { openLab } from './harness/test-page.ts';

test(
  'lost at twenty moments of a load: each time an error, and then a model that works',
  { timeout: 600_000 },
  async () => {
    await using page = await openLab();
    await page.evaluate(async () => {
      Object.assign(globalThis, { near: lab.make('webgpu') });
      // What the answer in the end is compared with.
      await lab.works(near);
    });
    await loseAt(page, MOMENTS);
  },
);
