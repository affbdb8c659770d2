import { trustedURL } from '../../src/bytes/trusted-url.ts';
import { HASH_THREAD, type ThreadState } from '../../src/protocol/runtime-calls.ts';

/** What of a worker's global object starts threads and reaches the page. */
interface WorkerGlobal {
  Worker: typeof Worker;
  postMessage(message: ThreadState): void;
}

/**
 * Tells the page about each thread that onnxruntime starts, so that the page notices one that does not start: in Firefox,
 * `new Worker()` in a worker sometimes never returns, and then no timer of this worker runs. The URLs of threads are made
 * by our Trusted Types policy, because onnxruntime has none.
 */
export function watchThreads(global: WorkerGlobal = globalThis): void {
  const RealWorker = global.Worker;
  let count = 0;
  const tell = (message: ThreadState): void => global.postMessage(message);
  global.Worker = class extends RealWorker {
    constructor(...[url, options]: ConstructorParameters<typeof Worker>) {
      if (options?.name === HASH_THREAD) {
        super(url, options);
        return;
      }
      const thread = count++;
      tell({ thread, state: 'starting' });
      super(trustedURL(String(url)), options);
      this.addEventListener('message', () => tell({ thread, state: 'started' }), { once: true });
    }
  };
}
