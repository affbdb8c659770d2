/** GPU failures. All tests share one nearsight, because on a software GPU each new worker takes seconds to load. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { browserName, nightlyInChromium, slowInChromium, type TestPage } from './harness/harness.ts';
import { loseDeviceAt, MOMENTS } from './device-loss.ts';
import { openTestPage } from './harness/test-page.ts';

let page: TestPage;

beforeAll(async () => {
  page = await openTestPage();
  await page.evaluate(async () => {
    Object.assign(globalThis, { near: testPage.make('webgpu') });
    // A first answer, before any failure.
    await testPage.works(near);
  });
});

afterAll(() => page[Symbol.asyncDispose]());

test.each(['destroy', 'invalid'] as const)(
  '%s mid-stream: an error event, then a new worker',
  slowInChromium,
  async (fault) => {
    const result = await page.evaluate(async (name) => {
      await near.load();
      const before = faults.workers.length;
      const response = await testPage.ask(near, testPage.long);
      const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
      await reader.read();
      const injected = faults.command(name);
      let text = '';
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        text += value;
      }
      await injected;
      const works = await testPage.works(near);
      return { text, works, started: faults.workers.length - before };
    }, fault);
    expect(result.text).toContain(fault === 'destroy' ? '"code":"device_lost"' : '"code":"gpu_error"');
    expect(result).toMatchObject({ works: true, started: 1 });
  },
);

test('a device that is lost while nothing runs is noticed, and the next request works', slowInChromium, async () => {
  const result = await page.evaluate(async () => {
    await near.load();
    const before = faults.workers.length;
    await faults.command('destroy');
    await new Promise<void>((resolve) => {
      near.status.subscribe(({ state }) => state === 'failed' && resolve());
    });
    const works = await testPage.works(near);
    return { works, started: faults.workers.length - before };
  });
  expect(result).toEqual({ works: true, started: 1 });
});

// From the first buffers to the last self-test; gpu-loss.long.test.ts has all moments.
const moments = [MOMENTS[0]!, MOMENTS[7]!, MOMENTS[19]!];

test('a device that is lost during a load gives an error, and the next load works', nightlyInChromium, async () => {
  // A load takes half a minute on Chromium's software adapter.
  await loseDeviceAt(page, browserName === 'chromium' ? moments.slice(1, 2) : moments);
});
