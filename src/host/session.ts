import { race } from '../async/race.ts';
import type { Engine } from './engine-host.ts';
import type { StatusValue } from './status.ts';
import { asNearsightError, ERRORS, NearsightError } from '../protocol/errors.ts';
import type { ChatJob, Part } from '../protocol/job.ts';
import type { DebugStats, LoadPart, LoadRequest, ModelFacts, Verdict } from '../protocol/calls.ts';

/** What a session needs of an {@link Engine}. */
export type SessionEngine = Pick<Engine, keyof Engine>;

/** What a {@link Session} works with. */
export interface SessionOptions {
  /** What to load; asked anew for each load and probe. */
  request: () => Promise<LoadRequest>;
  setStatus: (value: StatusValue) => void;
  /** Starts a worker. */
  startEngine: () => Promise<SessionEngine>;
}

/** A load that is under way or done. */
interface PendingLoad {
  /** Rejects as soon as the load is ended. */
  opened: Promise<Opened>;
  /** Aborts when it is ended. */
  abort: AbortController;
  /** Its newest worker, once there is one. */
  engine?: SessionEngine;
  facts?: ModelFacts;
  /** Callers who wait for it. */
  waiters: number;
  /** Answers under way. */
  active: number;
}

/** An engine with its model open. */
interface Opened {
  load: PendingLoad;
  engine: SessionEngine;
  facts: ModelFacts;
}

/**
 * Keeps one model open across workers: starts an engine when it is first needed, shares its load between callers, and
 * starts another when the last one died.
 *
 * | call        | idle, failed       | loading                | ready                | disposed      |
 * |-------------|--------------------|------------------------|----------------------|---------------|
 * | `open`      | starts a load      | joins the load         | the open model       | rejects       |
 * | `generate`  | starts a load      | joins it, then answers | answers              | rejects       |
 * | `probe`     | in its own worker  | asks the worker        | asks the worker      | rejects       |
 * | `forget`    | nothing to do      | asks the worker        | asks the worker      | nothing to do |
 * | `debugStats` | all zero           | asks the worker        | asks the worker      | all zero      |
 * | `unload`    | nothing to do      | ends the load; idle    | ends the worker; idle | nothing to do |
 * | `dispose`   | disposed           | ends it; disposed      | ends it; disposed    | nothing to do |
 *
 * A load becomes ready, or failed. It is ended, and the state is idle, when the last caller who waits for it aborts.
 * Ready becomes failed when the worker dies or loses its model. While a load has no worker yet, the calls that would ask
 * it do as in idle. Whatever was asked of a worker, and is not answered when that is ended, rejects with the reason:
 * `aborted` (unload), `disposed` (dispose), or what took the worker away. After `dispose`, everything rejects with
 * `disposed`.
 */
export class Session {
  readonly #options: SessionOptions;
  readonly #disposal = new AbortController();
  /** Absent in idle, failed and disposed. */
  #load: PendingLoad | undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  /**
   * The open model; loads it, or joins the load under way. Aborting `signal` leaves the load to the others who wait,
   * and stops it when nobody does. A failed load is not remembered.
   */
  async open(signal?: AbortSignal): Promise<Opened> {
    signal?.throwIfAborted();
    this.#disposal.signal.throwIfAborted();
    const load = (this.#load ??= this.#start());
    load.waiters++;
    try {
      return await race(load.opened, signal);
    } finally {
      if (--load.waiters === 0 && !load.facts) {
        this.#end(load, new NearsightError('aborted', 'Nobody waits for this load.'));
      }
    }
  }

  /**
   * Answers a job; the stream errors with a NearsightError, or with `signal`'s own reason. The model is loaded while the
   * job is still being made; if that fails, the load goes on for the next one.
   */
  async generate(making: Promise<ChatJob>, signal?: AbortSignal): Promise<ReadableStream<Part>> {
    const opening = this.open(signal);
    const pending = this.#load;
    making.catch(() => {
      // Counts as a caller who waits and never leaves, so that this one may.
      if (pending && !signal?.aborted) pending.waiters++;
    });
    const [job, { load, engine }] = await Promise.all([making, opening]);
    return this.#watched(load, engine, engine.generate(job, signal));
  }

  /** Asks a worker what this device can do; downloads no model. */
  async probe(): Promise<Verdict> {
    const { signal } = this.#disposal;
    signal.throwIfAborted();
    const request = await this.#options.request();
    if (this.#load?.engine) return this.#load.engine.probe(request);
    const engine = await this.#options.startEngine();
    try {
      return await race(engine.probe(request), signal);
    } finally {
      engine.stop(new NearsightError('aborted', 'The probe has ended.'));
    }
  }

  async forget(): Promise<void> {
    await this.#load?.engine?.forget();
  }

  async debugStats(): Promise<DebugStats> {
    return this.#load?.engine?.debugStats() ?? { gpuBuffers: 0, ports: 0, waiting: 0, loaded: null };
  }

  /** Ends the worker, or the load under way, and with it whatever is in flight; the next request loads again. */
  unload(reason = new NearsightError('aborted', 'The model was unloaded.')): void {
    if (this.#load) this.#end(this.#load, reason);
  }

  dispose(): void {
    if (this.#disposal.signal.aborted) return;
    const reason = new NearsightError('disposed', 'This nearsight was disposed; create another one.');
    this.#disposal.abort(reason);
    this.unload(reason);
    this.#options.setStatus({ state: 'disposed' });
  }

  #start(): PendingLoad {
    const abort = new AbortController();
    const open = async (): Promise<Opened> => {
      try {
        return await race(this.#open(load), abort.signal);
      } catch (error) {
        this.#end(load, error);
        throw asNearsightError(error);
      }
    };
    const load: PendingLoad = { abort, waiters: 0, active: 0, opened: Promise.resolve().then(open) };
    return load;
  }

  async #open(load: PendingLoad): Promise<Opened> {
    const request = await this.#options.request();
    try {
      return await this.#openIn(load, request);
    } catch (error) {
      if (!load.engine?.hung) throw error;
      // Firefox hangs now and then when ONNX Runtime starts its threads. Without them it has not been seen to.
      return this.#openIn(load, { ...request, threads: 1 });
    }
  }

  /** Opens the model in a new worker. */
  async #openIn(load: PendingLoad, request: LoadRequest): Promise<Opened> {
    const { signal } = load.abort;
    signal.throwIfAborted();
    const engine = await this.#options.startEngine();
    load.engine = engine;
    engine.dead.addEventListener('abort', () => {
      // One that hangs may be replaced without anybody hearing of it; if not, its load fails.
      if (!engine.hung) this.#end(load, engine.dead.reason);
    });
    // Stops the engine if the load was ended meanwhile.
    const facts = await engine.load(request, (part) => this.#report(load, part), signal);
    load.facts = facts;
    this.#setStatus(load, { state: 'ready', facts, active: load.active });
    return { load, engine, facts };
  }

  #report(load: PendingLoad, part: LoadPart): void {
    if (part.type === 'download') {
      const { loadedBytes, totalBytes } = part;
      this.#setStatus(load, { state: 'downloading', loadedBytes, totalBytes });
    } else if (part.type === 'prepare') {
      this.#setStatus(load, { state: 'preparing', done: part.done, of: part.of });
    }
  }

  /** Not for a load that has ended, whose last parts may still be under way. */
  #setStatus(load: PendingLoad, value: StatusValue): void {
    if (this.#load === load) this.#options.setStatus(value);
  }

  /** Ends a load, done or not, and its worker. Ending it again does nothing. */
  #end(load: PendingLoad, reason: unknown): void {
    const current = this.#load === load;
    if (current) this.#load = undefined;
    load.abort.abort(reason);
    load.engine?.stop(reason);
    if (!current || this.#disposal.signal.aborted) return;
    const error = asNearsightError(reason);
    this.#options.setStatus(error.code === 'aborted' ? { state: 'idle' } : { state: 'failed', error });
  }

  /**
   * Passes the parts on, keeps count of the answers under way, and ends an engine whose GPU has failed before anybody
   * hears of it: the next request must not meet it.
   */
  #watched(load: PendingLoad, engine: SessionEngine, parts: ReadableStream<Part>): ReadableStream<Part> {
    const reader = parts.getReader();
    this.#count(load, 1);
    let count = (): void => {
      count = () => {};
      this.#count(load, -1);
    };
    return new ReadableStream<Part>({
      async pull(controller) {
        try {
          const { done, value } = await reader.read();
          if (!done) return controller.enqueue(value);
          count();
          controller.close();
        } catch (error) {
          count();
          if (error instanceof NearsightError && ERRORS[error.code].fatal) engine.stop(error);
          controller.error(error);
        }
      },
      cancel(reason) {
        count();
        return reader.cancel(reason);
      },
    });
  }

  #count(load: PendingLoad, change: 1 | -1): void {
    load.active += change;
    const { facts, active } = load;
    if (facts) this.#setStatus(load, { state: 'ready', facts, active });
  }
}
