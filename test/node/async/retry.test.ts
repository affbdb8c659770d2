import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Retries, RetryableFailure, retryAfterOf } from '../../../src/async/retry.ts';

const never = new AbortController().signal;
const busy = (retryAfter?: number): RetryableFailure => new RetryableFailure(new Error('busy'), retryAfter);

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

it('repeats an attempt until it succeeds, with growing pauses', async () => {
  const at: number[] = [];
  const running = new Retries(6, 60_000).run(async () => {
    at.push(Date.now());
    if (at.length < 4) throw busy();
    return 'done';
  }, never);
  await vi.runAllTimersAsync();
  expect(await running).toBe('done');
  const pauses = at.slice(1).map((time, index) => time - (at[index] ?? 0));
  for (const [index, pause] of pauses.entries()) {
    expect(pause).toBeGreaterThanOrEqual(250 * 2 ** index);
    expect(pause).toBeLessThanOrEqual(750 * 2 ** index);
  }
});

it('throws the error of the last failure, and at once an error that no other attempt mends', async () => {
  const attempt = vi.fn<() => Promise<void>>(async () => {
    throw busy(10);
  });
  const running = expect(new Retries(3, 1000).run(attempt, never)).rejects.toThrow('busy');
  await vi.runAllTimersAsync();
  await running;
  expect(attempt).toHaveBeenCalledTimes(3);
  const broken = async (): Promise<void> => {
    throw new TypeError('broken');
  };
  await expect(new Retries(3, 1000).run(broken, never)).rejects.toThrow(TypeError);
});

it('waits as long as the other side asks, unless that is too long', async () => {
  const attempt = vi.fn<() => Promise<string>>().mockRejectedValueOnce(busy(900)).mockResolvedValue('done');
  const running = new Retries(3, 1000).run(attempt, never);
  await vi.advanceTimersByTimeAsync(899);
  expect(attempt).toHaveBeenCalledTimes(1);
  await vi.advanceTimersByTimeAsync(1);
  expect(await running).toBe('done');
  await expect(new Retries(3, 1000).run(() => Promise.reject(busy(1001)), never)).rejects.toThrow('busy');
});

it('an abort ends a pause with its reason, and progress forgets earlier failures', async () => {
  const controller = new AbortController();
  const running = expect(new Retries(3, 1000).run(() => Promise.reject(busy(500)), controller.signal)).rejects.toThrow(
    'enough',
  );
  await vi.advanceTimersByTimeAsync(1);
  controller.abort(new Error('enough'));
  await running;

  const retries = new Retries(2, 1000);
  let attempts = 0;
  const progressing = retries.run(async () => {
    if (++attempts === 5) return;
    retries.reset();
    throw busy(1);
  }, never);
  await vi.runAllTimersAsync();
  await progressing;
  expect(attempts).toBe(5);
});

it.each([
  ['7', 7000],
  ['Thu, 01 Jan 1970 00:00:09 GMT', 4000],
  ['soon', undefined],
])('reads retry-after: %s', (value, expected) => {
  vi.setSystemTime(5000);
  expect(retryAfterOf(new Headers({ 'retry-after': value }))).toBe(expected);
  expect(retryAfterOf(new Headers())).toBeUndefined();
});
