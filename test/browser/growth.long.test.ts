// @module-tag long
import { expect, test } from 'vitest';
import { browserName, nightlyInChromium } from './harness/harness.ts';
import { openTestPage } from './harness/test-page.ts';

test(
  '200 requests do not increase GPU buffers, ports or heap',
  { timeout: 1_200_000, ...nightlyInChromium },
  async () => {
    await using page = await openTestPage();
    await page.evaluate(() => {
      const near = testPage.make('webgpu');
      const rounds = async (count: number): Promise<void> => {
        for (let i = 0; i < count; i++) {
          const response = await testPage.ask(near, { max_tokens: 2, stream: i % 2 === 0 });
          const text = await response.text();
          if (response.status !== 200) throw new Error(text);
        }
      };
      const take = async () => ({ ...(await near.debugStats()), ...(await faults.command('count')) });
      Object.assign(globalThis, { rounds, take });
    });
    // The page's heap, which only Chromium reports, after a garbage collection.
    const measure = async () => {
      const session = browserName === 'chromium' ? await page.page.createCDPSession() : undefined;
      await session?.send('HeapProfiler.collectGarbage');
      const heap = await page.evaluate(
        () => (performance as { memory?: { usedJSHeapSize: number } }).memory?.usedJSHeapSize ?? 0,
      );
      await session?.detach();
      const taken = await page.evaluate(() =>
        (globalThis as unknown as { take(): Promise<{ gpuBuffers: number; ports: number; buffers: number }> }).take(),
      );
      return { ...taken, heap };
    };
    const rounds = (count: number) =>
      page.evaluate((n) => (globalThis as unknown as { rounds(n: number): Promise<void> }).rounds(n), count);
    await rounds(20);
    const before = await measure();
    for (let i = 0; i < 10; i++) await rounds(20);
    const after = await measure();
    expect(after.ports).toBe(before.ports);
    expect(after.gpuBuffers).toBe(before.gpuBuffers);
    expect(after.buffers).toBeLessThanOrEqual(before.buffers);
    expect(after.heap).toBeLessThan(before.heap + 1_000_000);
  },
);
