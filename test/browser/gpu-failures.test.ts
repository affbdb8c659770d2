/** What becomes of a GPU that fails. One nearsight for all: on a software GPU, each new worker takes seconds to load. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TestPage } from './harness/harness.ts';
import { loseAt, MOMENTS } from './device-loss.ts';
import { openLab } from './harness/test-page.ts';

let page: TestPage;

beforeAll(async () => {
  page = await openLab();
  await page.evaluate(async () => {
    Object.assign(globalThis, { near: lab.make('webgpu') });
    // What the answers after each failure are compared with.
    await lab.works(near);
  });
});

afterAll(() => page[Symbol.asyncDispose]());

test.each(['destroy', 'invalid'] as const)('%s mid-stream: an error event, then a new worker', async (order) => {
  const result = await page.evaluate(async (name) => {
    await near.load();
    const before = sabotage.workers.length;
    const response = await lab.ask(near, lab.long);
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    await reader.read();
    const ordered = sabotage.order(name);
    let text = '';
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      text += value;
    }
    await ordered;
    const works = await lab.works(near);
    return { text, works, started: sabotage.workers.length - before };
  }, order);
  expect(result.text).toContain(order === 'destroy' ? '"code":"device_lost"' : '"code":"gpu_error"');
  expect(result).toMatchObject({ works: true, started: 1 });
});

test('lost while nothing runs: noticed, and the next request works', async () => {
  const result = await page.evaluate(async () => {
    await near.load();
    const before = sabotage.workers.length;
    await sabotage.order('destroy');
    await new Promise<void>((resolve) => {
      near.status.subscribe(({ state }) => state === 'failed' && resolve());
    });
    const works = await lab.works(near);
    return { works, started: sabotage.workers.length - before };
  });
  expect(result).toEqual({ works: true, started: 1 });
});

test('lost while a model is loaded: an error, and then a model that works', async () => {
  // From the first buffers to the last self-test; the long run has all of them.
  await loseAt(page, [MOMENTS[0]!, MOMENTS[7]!, MOMENTS[19]!]);
});
