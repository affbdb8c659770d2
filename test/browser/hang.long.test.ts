// @module-tag long
// @module-tag nightly-in-chromium
import { expect, test } from 'vitest';
import { openTestPage } from './harness/test-page.ts';

test('a worker that hangs while it opens the model is replaced', async () => {
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
  expect(result).toMatchObject({ works: true, failed: false });
  // In Firefox a thread of the second worker may hang as well (docs/browsers.md): a third has no threads.
  expect([
    [2, expect.stringMatching(/^[2-9] wasm threads$/)],
    [3, '1 wasm thread'],
  ]).toContainEqual([result.started, result.hardware]);
});

test('threads that do not start are noticed in less than 3 s, twice, and then the model is opened without them', async () => {
  const silent = new Response('export default 0', { headers: { 'content-type': 'text/javascript' } });
  await using page = await openTestPage({
    answer: ({ url, headers }) =>
      /ort-wasm-simd-threaded[\w-]*\.mjs$/.test(url) && headers.get('sec-fetch-dest') === 'worker'
        ? silent.clone()
        : undefined,
  });
  const result = await page.evaluate(async () => {
    const near = testPage.make('wasm');
    const before = faults.workers.length;
    const start = performance.now();
    const { hardware } = await near.load();
    const seconds = (performance.now() - start) / 1000;
    const works = await testPage.works(near);
    near.dispose();
    return { hardware, works, started: faults.workers.length - before, seconds };
  });
  expect(result).toEqual({ hardware: '1 wasm thread', works: true, started: 3, seconds: expect.any(Number) });
  // Three loads, and twice 2.5 s. The heartbeat would take twice 25 s.
  expect(result.seconds).toBeLessThan(40);
});
