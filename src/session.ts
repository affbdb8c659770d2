import { untilAborted } from './abort.ts';
import { Engine } from './engine.ts';
import type { Status } from './status.ts';
import { asNearsightError, ERRORS, NearsightError } from './wire/error.ts';
import type { ChatJob, Part } from './wire/job.ts';
import type { LoadPart, LoadRequest, ModelFacts, Verdict } from './wire/runtime.ts';

/** An engine with its model open. */
interface Opened {
  engine: Engine;
  facts: ModelFacts;
}

/** A load that is under way or done, and who waits for it. */
interface Flight {
  opened: Promise<Opened>;
  abort: AbortController;
  waiters: number;
}

/**
 * Keeps one model open across workers: starts an engine when it is first needed, shares its load between callers, and
 * starts another when the last one died.
 */
export class Session {
  readonly #status: Status;
  readonly #request: () => Promise<LoadRequest>;
  readonly #worker: string | URL | undefined;
  #flight: Flight | undefined;
  #engine: Engine | undefined;
  #active = 0;
  #disposed = false;

  constructor(request: () => Promise<LoadRequest>, status: Status, worker?: string | URL) {
    this.#request = request;
    this.#status = status;
    this.#worker = worker;
  }

  /**
   * The open model; loads it, or joins the load under way. Aborting `signal` leaves the load to the others who wait,
   * and stops it when nobody does. A failed load is not remembered.
   */
  async open(signal?: AbortSignal): Promise<Opened> {
    signal?.throwIfAborted();
    if (this.#disposed) throw disposed();
    const flight = (this.#flight ??= this.#start());
    flight.waiters++;
    try {
      return await untilAborted(flight.opened, signal);
    } finally {
      // Aborting a load that has ended does nothing.
      if (--flight.waiters === 0) flight.abort.abort(new NearsightError('aborted', 'Nobody waits for this load.'));
    }
  }

  /** Answers a job; the stream errors with a NearsightError, or with `signal`'s own reason. */
  async generate(job: ChatJob, signal?: AbortSignal): Promise<ReadableStream<Part>> {
    const { engine } = await this.open(signal);
    return this.#watched(engine, engine.generate(job, signal));
  }

  /** Asks a worker what this device can do; downloads no model. */
  async probe(): Promise<Verdict> {
    if (this.#disposed) throw disposed();
    const request = await this.#request();
    if (this.#engine) return this.#engine.probe(request);
    const engine = new Engine(this.#worker);
    try {
      return await engine.probe(request);
    } finally {
      engine.stop(new NearsightError('aborted', 'The probe has ended.'));
    }
  }

  async forget(): Promise<void> {
    await this.#engine?.forget();
  }

  async inventory(): ReturnType<Engine['inventory']> {
    return this.#engine ? this.#engine.inventory() : { gpuBuffers: 0, ports: 0, waiting: 0, loaded: null };
  }

  /** Ends the worker and with it whatever is in flight; the next request loads again. */
  unload(reason = new NearsightError('aborted', 'The model was unloaded.')): void {
    this.#engine?.stop(reason);
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.unload(disposed());
    this.#flight?.abort.abort(disposed());
    this.#status.set({ state: 'disposed' });
  }

  #start(): Flight {
    const abort = new AbortController();
    const flight: Flight = { opened: this.#load(abort.signal), abort, waiters: 0 };
    // Forget the flight when its load failed; a rejection is reported to those who wait, and to the status.
    flight.opened.catch((error: unknown) => this.#lost(flight, error));
    return flight;
  }

  async #load(signal: AbortSignal): Promise<Opened> {
    const request = await this.#request();
    signal.throwIfAborted();
    const engine = new Engine(this.#worker);
    try {
      return await this.#openIn(engine, request, signal);
    } catch (error) {
      if (!engine.hung) throw error;
      // Firefox hangs now and then when ONNX Runtime starts its threads. Without them it has not been seen to.
      return this.#openIn(new Engine(this.#worker), { ...request, threads: 1 }, signal);
    }
  }

  /** Opens the model in a new worker. */
  async #openIn(engine: Engine, request: LoadRequest, signal: AbortSignal): Promise<Opened> {
    this.#engine = engine;
    engine.dead.addEventListener('abort', () => {
      if (this.#engine !== engine) return;
      this.#engine = undefined;
      // One that hangs may be replaced without anybody hearing of it; if not, its load fails.
      if (!engine.hung) this.#lost(this.#flight, engine.dead.reason);
    });
    const facts = await engine.load(request, (part) => this.#report(part), signal);
    this.#status.set({ state: 'ready', facts, active: this.#active });
    return { engine, facts };
  }

  #report(part: LoadPart): void {
    if (part.type === 'download') {
      this.#status.set({ state: 'downloading', loadedBytes: part.loadedBytes, totalBytes: part.totalBytes });
    } else if (part.type === 'prepare') {
      this.#status.set({ state: 'preparing', done: part.done, of: part.of });
    }
  }

  #lost(flight: Flight | undefined, reason: unknown): void {
    if (!flight || this.#flight !== flight) return;
    this.#flight = undefined;
    if (this.#disposed) return;
    const error = asNearsightError(reason);
    this.#status.set(error.code === 'aborted' ? { state: 'idle' } : { state: 'failed', error });
  }

  /**
   * Passes the parts on, keeps count of the answers under way, and ends an engine whose GPU has failed before anybody
   * hears of it: the next request must not meet it.
   */
  #watched(engine: Engine, parts: ReadableStream<Part>): ReadableStream<Part> {
    const reader = parts.getReader();
    this.#count(1);
    let count = (): void => {
      count = () => {};
      this.#count(-1);
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

  #count(change: 1 | -1): void {
    this.#active += change;
    const { value } = this.#status;
    if (value.state === 'ready') this.#status.set({ ...value, active: this.#active });
  }
}

function disposed(): NearsightError {
  return new NearsightError('disposed', 'This nearsight was disposed; create another one.');
}
