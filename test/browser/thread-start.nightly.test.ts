// @module-tag nightly
import { expect, test } from 'vitest';
import { browserName } from './harness/harness.ts';
import { openTestPage } from './harness/test-page.ts';

const PAGES = browserName === 'firefox' ? 100 : 10;
const LOADS = 10;

// The first load of a page is the likeliest to hang: before threads were kept awake, one in three did while it downloaded.
test(`${PAGES * LOADS} loads start their threads`, { timeout: 7_200_000 }, async () => {
  for (let number = 1; number <= PAGES; number++) {
    await using page = await openTestPage();
    const result = await page.evaluate(async (count) => {
      const hardware = new Set<string>();
      for (let load = 0; load < count; load++) {
        const near = testPage.make('wasm');
        hardware.add((await near.load()).hardware);
        near.dispose();
      }
      return { hardware: [...hardware], workers: faults.workers.length };
    }, LOADS);
    expect(result, `page ${number}`).toEqual({
      hardware: [expect.stringMatching(/^\d+ wasm threads$/)],
      workers: LOADS,
    });
  }
});
