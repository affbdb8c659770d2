import { expect, test } from 'vitest';
import { watchThreads } from '../../../worker/onnx/watch-threads.ts';

test('the page hears of a thread before it is started, and again at its first answer', () => {
  const log: unknown[] = [];
  class Thread extends EventTarget {
    constructor(...args: unknown[]) {
      super();
      log.push(args);
    }
  }
  const global = { Worker: Thread as unknown as typeof Worker, postMessage: (message: unknown) => log.push(message) };
  watchThreads(global);
  const threads = [0, 1].map(() => new global.Worker('thread.mjs', { type: 'module' }));
  const started = ['thread.mjs', { type: 'module' }];
  expect(log.splice(0)).toEqual([{ thread: 0, state: 'starting' }, started, { thread: 1, state: 'starting' }, started]);
  for (let answers = 0; answers < 2; answers++) threads[1]?.dispatchEvent(new MessageEvent('message'));
  expect(log).toEqual([{ thread: 1, state: 'started' }]);
});
