import { expect } from 'vitest';
import type { TestPage } from './harness/harness.ts';

/**
 * The moments of a load at which the device is lost, as fractions of the load's calls to WebGPU: one random moment in each
 * twentieth, fixed so that runs are repeatable.
 */
export const MOMENTS: readonly number[] = [
  0.31, 0.77, 0.12, 0.58, 0.94, 0.05, 0.66, 0.43, 0.89, 0.21, 0.72, 0.37, 0.15, 0.83, 0.5, 0.98, 0.27, 0.61, 0.08, 0.9,
].map((place, at) => (at + place) / 20);

/**
 * Loads once per moment and loses the device there, then loads again without a loss. If a load hangs, the test runs into
 * its time limit.
 *
 * @param page with a nearsight on WebGPU as its global `near`
 */
export async function loseDeviceAt(page: TestPage, moments: readonly number[]): Promise<void> {
  const calls = await page.evaluate(async () => {
    await near.unload();
    await near.load();
    return (await faults.command('count')).calls;
  });
  expect(calls).toBeGreaterThan(100);
  for (const moment of moments) {
    const at = Math.ceil(moment * calls);
    const outcome = await page.evaluate(async (lostAtCall) => {
      await near.unload();
      faults.plan.lostAtCall = lostAtCall;
      const error = await testPage.rejectionOf(near.load());
      faults.plan.lostAtCall = undefined;
      if (error) return error.code;
      // The number of calls varies: how many steps are timed at the end depends on how long they take.
      return (await faults.command('count')).calls < lostAtCall ? 'ended before' : 'ready';
    }, at);
    // Firefox reports calls on a destroyed device as errors, at times before the loss.
    expect(['device_lost', 'gpu_error', 'ended before'], `lost at call ${at} of ${calls}`).toContain(outcome);
  }
  expect(await page.evaluate(() => testPage.works(near))).toBe(true);
}
