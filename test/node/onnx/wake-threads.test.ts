import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { wakeThreads } from '../../../worker/onnx/wake-threads.ts';

/** A worker that records what it is sent. */
class SleepingWorker extends EventTarget {
  readonly received: unknown[] = [];

  postMessage(message: unknown): void {
    this.received.push(message);
  }
}

/** A worker as onnxruntime starts its threads. */
function startThread(): SleepingWorker {
  const global = { Worker: SleepingWorker as unknown as typeof Worker };
  wakeThreads(global);
  return new global.Worker('thread.mjs') as unknown as SleepingWorker;
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test('a thread gets messages that it ignores, until its first answer', () => {
  const thread = startThread();
  vi.advanceTimersByTime(650);
  expect(thread.received).toEqual(Array(3).fill({ target: 'setimmediate' }));
  thread.dispatchEvent(new MessageEvent('message'));
  vi.advanceTimersByTime(60_000);
  expect(thread.received).toHaveLength(3);
});

test('a thread that never answers is an error after half a minute, once', () => {
  const thread = startThread();
  vi.advanceTimersByTime(30_000);
  expect(thread.received).toHaveLength(150);
  expect(() => vi.advanceTimersByTime(1000)).toThrow("a thread of onnxruntime's did not start");
  vi.advanceTimersByTime(60_000);
  expect(thread.received).toHaveLength(150);
});
