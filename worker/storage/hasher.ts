import { race } from '../../src/async/race.ts';
import { settledWithin } from '../../src/async/settled-within.ts';
import { hashOf } from './verify.ts';

/** The name of a worker that runs the store's script to hash files, and nothing else. */
const NAME = 'nearsight-hash';

/** A thread that has not started by then is not waited for: in Firefox, some never do. */
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
  // Tests in Node have no threads with names.
  if (!('name' in globalThis) || globalThis.name !== NAME) return;
  addEventListener('message', ({ data, ports: [port] }: MessageEvent<Blob>) => {
    const reply = (hash?: string): void => port?.postMessage(hash);
    hashInTurn(data, never).then(reply, () => reply());
  });
  postMessage('started');
}

/**
 * Hashes files in a thread of its own: while a graph is opened, the worker's own can do nothing else. Where there is no such
 * thread, this one does it.
 */
export class Hasher {
  #worker: Worker | undefined;
  readonly #isRunning: Promise<boolean>;
  readonly #failed: Promise<undefined>;

  constructor() {
    let failed = (): void => {};
    this.#failed = new Promise((resolve) => (failed = () => resolve(undefined)));
    this.#isRunning = new Promise((resolve) => {
      try {
        const worker = new Worker(import.meta.url, { type: 'module', name: NAME });
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
