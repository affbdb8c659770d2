import { describe, expect, test } from 'vitest';
import { ReadbackScheduler } from '../../../worker/generation/readback-scheduler.ts';

interface Run {
  /** Share of the time in which the GPU was idle. */
  idle: number;
  readbacks: number;
  /** Maximum number of tokens in flight. */
  inFlight: number;
  /** Longest time between two batches in the second half. */
  gap: number;
}

/**
 * The sampling loop with a GPU that takes `step` ms a token, and a browser that polls it every `tick` ms. Time is virtual.
 */
function answer(scheduler: ReadbackScheduler, tokens: number, step: number, tick: number, host = 0.5): Run {
  let now = 0;
  let gpu = 0;
  let idle = 0;
  let [submitted, sent, read, readbacks, inFlight, gap] = [0, 0, 0, 0, 0, 0];
  let last = 0;
  let waited = false;
  const batches: { count: number; at: number }[] = [];
  scheduler.begin();
  while (read < tokens) {
    if (submitted < tokens && (submitted - read < scheduler.maxInFlight || batches.length === 0)) {
      now += host;
      idle += Math.max(0, now - gpu);
      gpu = Math.max(gpu, now) + step;
      submitted++;
      inFlight = Math.max(inFlight, submitted - read);
      if (
        submitted - sent >= scheduler.batchSize ||
        submitted === tokens ||
        submitted - read >= scheduler.maxInFlight
      ) {
        batches.push({ count: submitted - sent, at: Math.floor(gpu / tick + 1) * tick });
        sent = submitted;
        readbacks++;
        scheduler.sent();
      }
      waited = false;
    } else {
      now = Math.max(now, batches[0]?.at ?? now);
      waited = submitted < tokens;
    }
    while (batches[0] && batches[0].at <= now) {
      read += batches[0].count;
      scheduler.received(batches[0].count, now);
      batches.shift();
      if (read > tokens / 2) gap = Math.max(gap, now - last);
      last = now;
    }
    if (waited && read === submitted) scheduler.reportIdle();
  }
  return { idle: idle / now, readbacks, inFlight, gap };
}

/** Milliseconds of a step, and between two polls of the GPU. */
const DEVICES: [string, number, number][] = [
  ['a fast GPU in Chromium', 2, 1],
  ['a laptop in Chromium', 8, 2],
  ['a slow GPU in Chromium', 60, 2],
  ['a software GPU', 400, 2],
  ['a fast GPU in Firefox', 2.5, 100],
  ['a laptop in Firefox', 10, 100],
  ['a small model on a software GPU in Firefox', 26, 100],
  ['a software GPU in Firefox', 380, 100],
];

describe('the readback scheduler', () => {
  test.each(DEVICES)('%s is kept busy, and text arrives regularly', (_, step, tick) => {
    const scheduler = new ReadbackScheduler(tick, 50);
    answer(scheduler, 200, step, tick);
    const { idle, readbacks, inFlight, gap } = answer(scheduler, 400, step, tick);
    expect(idle).toBeLessThan(0.05);
    expect(readbacks).toBeLessThanOrEqual(step < 6 ? 400 / 8 : 400);
    // Steps in flight are wasted at the end of an answer.
    expect(inFlight * Math.max(step, 1)).toBeLessThan(3 * step + 50 + 2 * tick);
    expect(gap).toBeLessThanOrEqual(Math.max(60, 1.1 * step) + tick);
  });

  test.each(DEVICES)('the GPU is mostly busy in a first answer of 300 tokens: %s', (_, step, tick) => {
    // The estimate from eight steps and one readback.
    const { idle } = answer(new ReadbackScheduler(tick, step + tick / 8), 300, step, tick);
    expect(idle).toBeLessThan(0.3);
  });
});
