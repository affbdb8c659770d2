import { trustedURL } from '../../src/bytes/trusted-url.ts';
import { THREADS_HANG } from '../../src/protocol/runtime-calls.ts';

/** How long a thread may take to answer its first message, which holds the compiled wasm. Most take some milliseconds. */
const MAX_MS = 2500;

/**
 * Makes a thread of onnxruntime's that does not start an error of this worker, by which the page knows that it should
 * open the model without threads ({@link THREADS_HANG}). The URLs of threads are made by our Trusted Types policy,
 * because onnxruntime has none.
 */
export function watchThreads(global: { Worker: typeof Worker } = globalThis): void {
  const RealWorker = global.Worker;
  global.Worker = class extends RealWorker {
    #asked = false;

    constructor(...[url, options]: ConstructorParameters<typeof Worker>) {
      super(trustedURL(String(url)), options);
    }

    override postMessage(...message: unknown[]): void {
      Reflect.apply(super.postMessage, this, message);
      if (this.#asked) return;
      this.#asked = true;
      const timer = setTimeout(() => {
        throw new Error(THREADS_HANG);
      }, MAX_MS);
      this.addEventListener('message', () => clearTimeout(timer), { once: true });
    }
  };
}
