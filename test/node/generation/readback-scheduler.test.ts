import { describe, expect, test } from 'vitest';
import { ReadbackScheduler } from '../../../worker/generation/readback-scheduler.ts';

interface Run {
  /** Time for which the GPU had nothing to do, of all. */
  idle: number;
  readbacks: number;
  /** Draws submitted and not read, at most. */
  ahead: number;
  /** Longest time between two lots that a reader waited, after the first few. */
  gap: number;
}

/**
 * The decode loop against a GPU that takes `step` ms for each, and a browser that looks at it every `tick` ms. Time is
 * virtual.
 */
function answer(pace: ReadbackScheduler, tokens: number, step: number, tick: number, host = 0.5): Run {
  let now = 0;
  let gpu = 0;
  let idle = 0;
  let [submitted, sent, read, readbacks, ahead, gap] = [0, 0, 0, 0, 0, 0];
  let last = 0;
  let held = false;
  const lots: { count: number; at: number }[] = [];
  pace.begin();
  while (read < tokens) {
    if (submitted < tokens && (submitted - read < pace.maxInFlight || lots.length === 0)) {
      now += host;
      idle += Math.max(0, now - gpu);
      gpu = Math.max(gpu, now) + step;
      submitted++;
      ahead = Math.max(ahead, submitted - read);
      if (submitted - sent >= pace.batchSize || submitted === tokens || submitted - read >= pace.maxInFlight) {
        lots.push({ count: submitted - sent, at: Math.floor(gpu / tick + 1) * tick });
        sent = submitted;
        readbacks++;
        pace.sent();
      }
      held = false;
    } else {
      now = Math.max(now, lots[0]?.at ?? now);
      held = submitted < tokens;
    }
    while (lots[0] && lots[0].at <= now) {
      read += lots[0].count;
      pace.received(lots[0].count, now);
      lots.shift();
      if (read > tokens / 2) gap = Math.max(gap, now - last);
      last = now;
    }
    if (held && read === submitted) pace.reportIdle();
  }
  return { idle: idle / now, readbacks, ahead, gap };
}

/** Milliseconds for a step, and between two looks at the GPU. */
const PLACES: [string, number, number][] = [
  ['a fast GPU in Chromium', 2, 1],
  ['a laptop in Chromium', 8, 2],
  ['a slow GPU in Chromium', 60, 2],
  ['a software GPU', 400, 2],
  ['a fast GPU in Firefox', 2.5, 100],
  ['a laptop in Firefox', 10, 100],
  ['a small model on a software GPU in Firefox', 26, 100],
  ['a software GPU in Firefox', 380, 100],
];

describe('pace', () => {
  test.each(PLACES)('%s is kept at work, and text flows', (_, step, tick) => {
    const pace = new ReadbackScheduler(tick, 50);
    answer(pace, 200, step, tick);
    const { idle, readbacks, ahead, gap } = answer(pace, 400, step, tick);
    expect(idle).toBeLessThan(0.05);
    expect(readbacks).toBeLessThanOrEqual(step < 6 ? 400 / 8 : 400);
    // What is made in vain at the end of an answer.
    expect(ahead * Math.max(step, 1)).toBeLessThan(3 * step + 50 + 2 * tick);
    expect(gap).toBeLessThanOrEqual(Math.max(60, 1.1 * step) + tick);
  });

  test.each(PLACES)('a first answer of 300 tokens: %s', (_, step, tick) => {
    // Eight steps and a readback, all together.
    const { idle } = answer(new ReadbackScheduler(tick, step + tick / 8), 300, step, tick);
    expect(idle).toBeLessThan(0.3);
  });
});
