import { trustedURL } from '../../src/bytes/trusted-url.ts';

const INTERVAL_MS = 200;

/** How many intervals a thread may take to start: half a minute. Most take one second. */
const MAX_INTERVALS = 150;

/** Emscripten's threads ignore a message with this target. */
const IGNORED = { target: 'setimmediate' };

/**
 * Makes every worker that this worker starts from now on get a message now and then, until its first answer. Their URLs
 * are made by our Trusted Types policy, because onnxruntime has none.
 *
 * In Firefox 153, while this worker downloads, a thread of onnxruntime often sleeps with the message that should start it:
 * `InferenceSession.create` never settled in 13 of 22 loads of SmolVLM-256M, and in none of 18 with further messages.
 *
 * A thread that never answers is an error of this worker, which ends it and with it the load.
 */
export function wakeThreads(global: { Worker: typeof Worker } = globalThis): void {
  const RealWorker = global.Worker;
  global.Worker = class extends RealWorker {
    constructor(...[url, options]: ConstructorParameters<typeof Worker>) {
      super(trustedURL(String(url)), options);
      let left = MAX_INTERVALS;
      const timer = setInterval(() => {
        if (left-- > 0) return this.postMessage(IGNORED);
        clearInterval(timer);
        throw new Error("a thread of onnxruntime's did not start");
      }, INTERVAL_MS);
      this.addEventListener('message', () => clearInterval(timer), { once: true });
    }
  };
}
