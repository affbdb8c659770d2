import { expect } from 'vitest';
import type { TestPage } from './harness/harness.ts';

/**
 * Where in a load the device is lost, as shares of all calls to WebGPU that a load makes: one in each twentieth, at a place
 * that was drawn once.
 */
export const MOMENTS: readonly number[] = [
  0.31, 0.77, 0.12, 0.58, 0.94, 0.05, 0.66, 0.43, 0.89, 0.21, 0.72, 0.37, 0.15, 0.83, 0.5, 0.98, 0.27, 0.61, 0.08, 0.9,
].map((place, at) => (at + place) / 20);

/**
 * Loads while the device is lost at each of these moments, and once more without. A load that hangs ends the test by its
 * time limit.
 *
 * @param page with a nearsight on WebGPU as its global `near`
 */
export async function loseAt(page: TestPage, moments: readonly number[]): Promise<void> {
  const calls = await page.evaluate(async () => {
    await near.unload();
    await near.load();
    return (await sabotage.order('count')).calls;
  });
  expect(calls).toBeGreaterThan(100);
  for (const moment of moments) {
    const at = Math.ceil(moment * calls);
    const outcome = await page.evaluate(async (lost) => {
      await near.unload();
      sabotage.plan.lost = lost;
      const fault = await lab.fault(near.load());
      sabotage.plan.lost = undefined;
      if (fault) return fault.code;
      // How many steps are timed in the end depends on how long they take.
      return (await sabotage.order('count')).calls < lost ? 'ended before' : 'ready';
    }, at);
    // Firefox reports calls on a destroyed device as errors, at times before the loss.
    expect(['device_lost', 'gpu_error', 'ended before'], `lost at call ${at} of ${calls}`).toContain(outcome);
  }
  expect(await page.evaluate(() => lab.works(near))).toBe(true);
}
