import { releaseProxy, transfer, wrap, type Remote } from 'comlink';
import { race } from '../async/race.ts';
import type { ChatJob, Part } from '../protocol/job.ts';
import { asNearsightError, NearsightError } from '../protocol/errors.ts';
import { readPort } from '../protocol/port.ts';
import type { DebugStats, LoadPart, LoadRequest, ModelFacts, Runtime, Verdict } from '../protocol/calls.ts';

/** A worker that opens a model is asked for a sign of life this often, in milliseconds, … */
const HEARTBEAT_MS = 5000;

/** … and hangs if it owes so many. Opening the largest graph keeps it from answering for a few seconds. */
const MAX_MISSED = 5;

/** Without threads none has been seen to hang: more likely the machine is slow. */
const MAX_MISSED_SINGLE_THREAD = 60;

/**
 * One worker, from its start to its death. It is never revived: whoever needs a worker again starts a new engine.
 *
 * Whatever happens to the worker, every call in flight rejects: all of them listen to `dead`.
 */
export class Engine {
  readonly #worker: Worker;
  readonly #runtime: Remote<Runtime>;
  readonly #death = new AbortController();
  /** Resolves when the worker holds its lock: from then on its death is noticed. */
  readonly #ready: Promise<void>;
  #hung = false;

  /** @param worker just started, and the engine's own from now on */
  constructor(worker: Worker) {
    this.#worker = worker;
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.stop(crashed(event.message || 'it could not be started: its script is missing, or worker-src forbids it'));
    };
    this.#worker.onmessageerror = () => this.stop(crashed('a message could not be read'));
    this.#runtime = wrap<Runtime>(this.#worker);
    const lock = `nearsight-${crypto.randomUUID()}`;
    this.#ready = this.#call(() => this.#runtime.handshake(lock));
    void this.#watch(lock);
  }

  /** Aborts when the worker is gone, with the NearsightError that says why. */
  get dead(): AbortSignal {
    return this.#death.signal;
  }

  /** Whether it is dead because it stopped answering while it opened a model. */
  get hung(): boolean {
    return this.#hung;
  }

  /**
   * Opens the model. When the returned promise has resolved, the engine lives until the model is lost.
   *
   * @param signal aborting it stops the engine: a half-opened model is of no use to anyone
   */
  async load(request: LoadRequest, onPart: (part: LoadPart) => void, signal: AbortSignal): Promise<ModelFacts> {
    const onAbort = (): void =>
      this.stop(new NearsightError('aborted', 'The load was aborted.', { cause: signal.reason }));
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    let pulse: (() => void) | undefined;
    try {
      await this.#ready;
      const parts = this.#stream<LoadPart>((port) => this.#runtime.load(request, port)).getReader();
      for (;;) {
        const { done, value } = await parts.read();
        if (done) throw new NearsightError('internal', 'The load ended without an answer.');
        onPart(value);
        // Not before the first part: until then its script may be on its way.
        pulse ??= this.#startHeartbeat(request.threads === 1 ? MAX_MISSED_SINGLE_THREAD : MAX_MISSED);
        if (value.type !== 'ready') continue;
        // The stream stays open as long as the model lives; its error is the model's loss.
        parts.closed.catch((loss: NearsightError) => this.stop(loss));
        return value.facts;
      }
    } catch (error) {
      this.stop(error);
      throw error;
    } finally {
      pulse?.();
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** Answers a job. Cancelling the stream, or aborting `signal`, stops the decode. */
  generate(job: ChatJob, signal?: AbortSignal): ReadableStream<Part> {
    return this.#stream((port) => this.#runtime.generate(job, port), signal);
  }

  probe(request: LoadRequest): Promise<Verdict> {
    return this.#call(() => this.#runtime.probe(request));
  }

  forget(): Promise<void> {
    return this.#call(() => this.#runtime.forget());
  }

  debugStats(): Promise<DebugStats> {
    return this.#call(() => this.#runtime.debugStats());
  }

  /** Ends the worker, which frees all its memory, and rejects whatever is in flight with `reason`. */
  stop(reason: unknown): void {
    if (this.dead.aborted) return;
    this.#death.abort(reason);
    this.#runtime[releaseProxy]();
    this.#worker.terminate();
  }

  /**
   * Stops a worker that is alive and answers nothing. Counted in questions, not in time, because a page that sleeps asks
   * none. Not while it answers requests: on wasm a run keeps the thread for as long as it takes.
   *
   * @param most signs of life that it may owe
   * @returns ends the watch
   */
  #startHeartbeat(most: number): () => void {
    let owed = 0;
    const timer = setInterval(() => {
      if (owed === most) {
        this.#hung = true;
        return this.stop(crashed('it stopped answering while it opened the model'));
      }
      owed++;
      const answered = (): void => {
        owed = 0;
      };
      this.debugStats().then(answered, () => {});
    }, HEARTBEAT_MS);
    return () => clearInterval(timer);
  }

  /** A worker can die without a word; then the lock that it held comes free. */
  async #watch(name: string): Promise<void> {
    try {
      await this.#ready;
      await navigator.locks.request(name, { signal: this.dead }, () => {
        this.stop(crashed('it ended without a message, most likely out of memory'));
      });
    } catch (error) {
      this.stop(error);
    }
  }

  /** Makes a call that is answered over a port of its own. */
  #stream<P>(call: (port: MessagePort) => Promise<void>, signal?: AbortSignal): ReadableStream<P> {
    const { port1, port2 } = new MessageChannel();
    const sent = this.#call(() => call(transfer(port2, [port2])));
    return readPort<P>(port1, sent, this.dead, signal);
  }

  /** A Comlink call never settles when its worker has died: this one does. It also rejects when it cannot be posted. */
  async #call<T>(call: () => Promise<T>): Promise<T> {
    this.dead.throwIfAborted();
    try {
      return await race(call(), this.dead);
    } catch (error) {
      throw asNearsightError(error);
    }
  }
}

function crashed(how: string): NearsightError {
  return new NearsightError('worker_crashed', `The worker stopped: ${how}. The next request starts a new one.`);
}
