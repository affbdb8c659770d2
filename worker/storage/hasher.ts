import { race } from '../../src/async/race.ts';
import { settledWithin } from '../../src/async/settled-within.ts';
import { trustedURL } from '../../src/bytes/trusted-url.ts';
import { HASH_THREAD } from '../../src/protocol/runtime-calls.ts';
import { hashOf } from './verify.ts';

/** A thread that has not started by then is not waited for. */
const START_MS = 3000;

const never = new AbortController().signal;

let last: Promise<unknown> = Promise.resolve();

/** One file after the other, because each takes memory. */
function hashInTurn(blob: Blob, signal: AbortSignal): Promise<string> {
  const hash = last.then(() => hashOf(blob, signal));
  last = hash.catch(() => {});
  return hash;
}

/** Answers each blob with its hash, on the port that comes with it, if this thread was started for that. */
export function serveHashes(): void {
  // By its name, which neither a page's library nor Node's declares.
  if (Reflect.get(globalThis, 'name') !== HASH_THREAD) return;
  addEventListener('message', ({ data, ports: [port] }: MessageEvent<Blob>) => {
    const reply = (hash?: string): void => port?.postMessage(hash);
    hashInTurn(data, never).then(reply, () => reply());
  });
  postMessage('started');
}

/**
 * Hashes files in a thread of its own, which runs the store's script, because while a graph is opened the worker's own can do
 * nothing else. Only in Chromium: in Firefox, `new Worker()` in a worker sometimes never returns. Elsewhere, and where that
 * thread fails, this one does it.
 */
export class Hasher {
  /** The URL of the store's script: bundlers replace a script's own. */
  static script: string | undefined;
  #worker: Worker | undefined;
  readonly #isRunning: Promise<boolean>;
  readonly #failed: Promise<undefined>;

  constructor() {
    let failed = (): void => {};
    this.#failed = new Promise((resolve) => (failed = () => resolve(undefined)));
    this.#isRunning = new Promise((resolve) => {
      const { script } = Hasher;
      if (script === undefined || !('userAgentData' in navigator)) return resolve(false);
      try {
        const worker = new Worker(trustedURL(script), { type: 'module', name: HASH_THREAD });
        this.#worker = worker;
        worker.onmessage = () => resolve(true);
        worker.onerror = (event) => {
          event.preventDefault();
          resolve(false);
          failed();
        };
      } catch {
        resolve(false);
      }
    });
  }

  async hash(blob: Blob, signal: AbortSignal): Promise<string> {
    const isRunning = await race(settledWithin(START_MS, this.#isRunning), signal);
    const hash = isRunning ? await race(Promise.race([this.#ask(blob), this.#failed]), signal) : undefined;
    return hash ?? hashInTurn(blob, signal);
  }

  close(): void {
    this.#worker?.terminate();
  }

  #ask(blob: Blob): Promise<string | undefined> {
    const { port1, port2 } = new MessageChannel();
    return new Promise((resolve) => {
      port1.onmessage = ({ data }: MessageEvent<string | undefined>) => resolve(data);
      this.#worker?.postMessage(blob, [port2]);
    });
  }
}
