import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { watchThreads } from '../../../worker/onnx/watch-threads.ts';

/** A worker that records what it is sent. */
class SilentWorker extends EventTarget {
  readonly received: unknown[] = [];

  postMessage(...message: unknown[]): void {
    this.received.push(message);
  }
}

/** A worker as onnxruntime starts its threads. */
function startThread(): SilentWorker {
  const global = { Worker: SilentWorker as unknown as typeof Worker };
  watchThreads(global);
  return new global.Worker('thread.mjs') as unknown as SilentWorker;
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test('a thread that does not answer its first message is an error in less than 3 s, once', () => {
  const thread = startThread();
  vi.advanceTimersByTime(60_000);
  thread.postMessage('load', ['a port']);
  thread.postMessage('run');
  expect(thread.received).toEqual([['load', ['a port']], ['run']]);
  expect(() => vi.advanceTimersByTime(3000)).toThrow("a thread of onnxruntime's did not start");
  vi.advanceTimersByTime(60_000);
});

test('a thread that answers may take as long as it needs from then on', () => {
  const thread = startThread();
  thread.postMessage('load');
  vi.advanceTimersByTime(2000);
  thread.dispatchEvent(new MessageEvent('message'));
  thread.postMessage('run');
  vi.advanceTimersByTime(60_000);
});
