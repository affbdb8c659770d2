// @module-tag long
import { expect, test } from 'vitest';
import { openTestPage } from './harness/test-page.ts';

test('a worker that hangs while it opens the model is replaced by one with a single thread', async () => {
  await using page = await openTestPage();
  const result = await page.evaluate(async () => {
    const near = testPage.make('wasm');
    const before = faults.workers.length;
    const states: string[] = [];
    let hung = false;
    near.status.subscribe(({ state }) => {
      states.push(state);
      if (state !== 'downloading' || hung) return;
      hung = true;
      faults.hang();
    });
    const { hardware } = await near.load();
    const works = await testPage.works(near);
    near.dispose();
    return { hardware, works, started: faults.workers.length - before, failed: states.includes('failed') };
  });
  expect(result).toEqual({ hardware: '1 wasm thread', works: true, started: 2, failed: false });
});
