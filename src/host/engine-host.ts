import { race } from '../async/race.ts';
import { NearsightError } from '../protocol/errors.ts';
import type { ThreadState } from '../protocol/runtime-calls.ts';
import type { LoadRequest, LoadState, ModelFacts, Verdict } from '../protocol/calls.ts';
import { EngineClient } from './engine-client.ts';

/** Milliseconds between heartbeats while a worker loads or probes. */
const HEARTBEAT_MS = 5000;

/**
 * Unanswered heartbeats after which a worker counts as hung. Opening the largest graph keeps it from answering for a few
 * seconds.
 */
const MAX_MISSED = 5;

/**
 * The same without threads: no such worker has been seen to hang, so the machine is probably slow. Also while requests are
 * answered, where there is no lock.
 */
const MAX_MISSED_SINGLE_THREAD = 60;

/**
 * How long a thread of onnxruntime's may take to start and to answer its first message, which holds the compiled wasm.
 * Most take some milliseconds.
 */
const MAX_THREAD_START_MS = 2500;

/**
 * Runs one worker, from start to end. An ended worker is not restarted: the session starts a new host.
 *
 * When the worker dies, every pending call rejects, because all of them listen to `dead`.
 */
export class EngineHost {
  /** Makes the calls to the worker. */
  readonly client: EngineClient;
  readonly #worker: Worker;
  readonly #death = new AbortController();
  /** Aborts when the worker is gone, with the NearsightError that says why. */
  readonly dead = this.#death.signal;
  /** Resolves when the worker holds its lock: from then on its death is noticed. False where locks are denied. */
  readonly #ready: Promise<boolean>;
  /** Whether it is dead because it stopped answering during a load or a probe, or a thread of it did not start. */
  hung = false;

  /**
   * @param worker just started; only the host stops it
   * @param notStarted the error for a worker whose script does not run, and why it may not
   */
  constructor(worker: Worker, notStarted: (why: string) => Promise<NearsightError>) {
    this.#worker = worker;
    worker.onerror = (event) => {
      event.preventDefault();
      // Without a message, its script did not run.
      if (!event.message) return void notStarted(whyNot()).then((error) => this.stop(error));
      this.stop(crashed(event.message));
    };
    this.#watchThreads();
    worker.onmessageerror = () => this.stop(crashed('a message could not be read'));
    this.client = new EngineClient(worker, this.dead);
    const lock = `nearsight-${crypto.randomUUID()}`;
    this.#ready = this.client.call((runtime) => runtime.handshake(lock));
    void this.#watchLock(lock);
  }

  /**
   * Opens the model. After that the worker lives until the model is lost. A load that fails stops the worker.
   *
   * @param signal aborting it stops the worker, because a half-opened model cannot be used
   */
  async load(request: LoadRequest, onState: (state: LoadState) => void, signal: AbortSignal): Promise<ModelFacts> {
    const maxMissed = request.threads === 1 ? MAX_MISSED_SINGLE_THREAD : MAX_MISSED;
    const load = () => this.client.load(request, onState, (lost) => this.stop(lost));
    try {
      return await race(this.#withHeartbeat(maxMissed, load), signal);
    } catch (thrown) {
      const { aborted, reason: cause } = signal;
      const error =
        aborted && !this.dead.aborted ? new NearsightError('aborted', 'The load was aborted.', { cause }) : thrown;
      this.stop(error);
      throw error;
    }
  }

  /** Asks what this device can do. For a worker that does nothing else: one that hangs is stopped. */
  probe(request: LoadRequest): Promise<Verdict> {
    return this.#withHeartbeat(MAX_MISSED, () => this.client.call((runtime) => runtime.probe(request)));
  }

  /** Ends the worker, which frees all its memory, and rejects all pending calls with `reason`. */
  stop(reason: unknown): void {
    if (this.dead.aborted) return;
    this.#death.abort(reason);
    this.#worker.terminate();
  }

  /**
   * Stops a worker that is alive and answers nothing while `work` runs. Counts heartbeats, not time, because a suspended
   * page sends none. Of a worker that answers requests, only where it has no lock: on wasm a run blocks its thread for as
   * long as it takes.
   *
   * @param maxMissed heartbeats that may be unanswered
   * @param replaceable whether another worker can do the work again
   */
  async #withHeartbeat<T>(maxMissed: number, work: () => Promise<T>, replaceable = true): Promise<T> {
    // Until then its script may still be downloading.
    await this.#ready;
    let missed = 0;
    const timer = setInterval(() => {
      if (missed === maxMissed) {
        this.hung = replaceable;
        return this.stop(crashed('it stopped answering'));
      }
      missed++;
      const onAnswer = (): number => (missed = 0);
      this.client.call((runtime) => runtime.debugStats()).then(onAnswer, () => {});
    }, HEARTBEAT_MS);
    try {
      return await work();
    } finally {
      clearInterval(timer);
    }
  }

  /** Stops a worker that hangs while it starts a thread. */
  #watchThreads(): void {
    const starting = new Map<number, ReturnType<typeof setTimeout>>();
    this.#worker.addEventListener('message', ({ data }: MessageEvent<Partial<ThreadState> | null>) => {
      if (data?.thread === undefined) return;
      clearTimeout(starting.get(data.thread));
      if (data.state !== 'starting') return;
      const timer = setTimeout(() => {
        if (this.dead.aborted) return;
        this.hung = true;
        this.stop(crashed("a thread of onnxruntime's did not start"));
      }, MAX_THREAD_START_MS);
      starting.set(data.thread, timer);
    });
  }

  /** A worker can die without an event; then the lock that it held becomes free. Without one, it answers no more. */
  async #watchLock(name: string): Promise<void> {
    try {
      if (!(await this.#ready)) {
        const forever = (): Promise<never> => race(new Promise(() => {}), this.dead);
        return await this.#withHeartbeat(MAX_MISSED_SINGLE_THREAD, forever, false);
      }
      await navigator.locks.request(name, { signal: this.dead }, () => {
        this.stop(crashed('it ended without a message, most likely out of memory'));
      });
    } catch (error) {
      this.stop(error);
    }
  }
}

function crashed(how: string): NearsightError {
  return new NearsightError('worker_crashed', `The worker stopped: ${how}. The next request starts a new one.`);
}

/** In a page with `Cross-Origin-Embedder-Policy`, browsers refuse a worker without it, and do not say so to scripts. */
function whyNot(): string {
  const lacks = globalThis.crossOriginIsolated ? ', or its response lacks Cross-Origin-Embedder-Policy' : '';
  return `it is missing, or not JavaScript${lacks}`;
}
