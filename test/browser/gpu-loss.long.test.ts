// @module-tag long
// @module-tag nightly
/** A GPU that is lost during a load, at twenty moments. `gpu-failures.test.ts` has three of them. */
import { test } from 'vitest';
import { loseDeviceAt, MOMENTS } from './device-loss.ts';
import { browserName } from './harness/harness.ts';
import { openTestPage } from './harness/test-page.ts';

test(
  'a device that is lost during a load gives an error, and the next load works: twenty moments',
  // Half a minute a load on Chromium's software adapter.
  browserName === 'chromium' ? { timeout: 1_800_000, tags: ['nightly'] } : { timeout: 600_000 },
  async () => {
    await using page = await openTestPage();
    await page.evaluate(async () => {
      Object.assign(globalThis, { near: testPage.make('webgpu') });
      // A first answer, before any failure.
      await testPage.works(near);
    });
    await loseDeviceAt(page, MOMENTS);
  },
);
