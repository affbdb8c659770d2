import { race } from '../async/race.ts';
import { askToPersist } from './ask-to-persist.ts';
import type { EngineClient } from './engine-client.ts';
import type { EngineHost } from './engine-host.ts';
import type { StatusValue } from './status.ts';
import { asNearsightError, ERRORS, isNearsightError, NearsightError } from '../protocol/errors.ts';
import type { ChatJob, Part } from '../protocol/job.ts';
import type { PartReader } from '../protocol/port.ts';
import type { LoadRequest, ModelFacts, Verdict } from '../protocol/calls.ts';

/** Workers of a load that may hang before one starts without threads. */
const MAX_HANGS = 2;

/** What a session needs of an {@link EngineClient}. */
export type SessionClient = Pick<EngineClient, 'call' | 'generate'>;

/** What a session needs of an {@link EngineHost}. */
export interface SessionHost extends Pick<EngineHost, 'dead' | 'hung' | 'load' | 'probe' | 'stop'> {
  readonly client: SessionClient;
}

/** What a {@link Session} works with. */
export interface SessionOptions {
  /** What to load; called for each load and probe. */
  request: () => Promise<LoadRequest>;
  setStatus: (value: StatusValue) => void;
  /** Starts a worker. */
  startEngine: () => Promise<SessionHost>;
}

/** A load that is under way or done. */
interface PendingLoad {
  /** Rejects as soon as the load is ended. */
  opened: Promise<Opened>;
  /** Aborts when it is ended. */
  abort: AbortController;
  /** Its newest worker, once there is one. */
  host?: SessionHost;
  facts?: ModelFacts;
  /** How many callers wait for it. */
  waiters: number;
  /** Whether it goes on without: the request that waited last had a fault of its own, and another one is likely. */
  kept?: boolean;
  /** How many answers are running or waiting. */
  active: number;
}

/** A load that is done: its worker has the model open. */
type Opened = PendingLoad & { host: SessionHost; facts: ModelFacts };

/**
 * Keeps one model open across workers: starts an engine host at the first use, shares its load between callers, and
 * starts another host after a worker has died.
 *
 * | call       | idle, failed        | loading                | ready                 | disposed      |
 * |------------|---------------------|------------------------|-----------------------|---------------|
 * | `open`     | starts a load       | joins the load         | the open model        | rejects       |
 * | `generate` | starts a load       | joins it, then answers | answers               | rejects       |
 * | `probe`    | in its own worker   | asks the worker        | asks the worker       | rejects       |
 * | `client`   | undefined           | the worker's           | the worker's          | throws        |
 * | `unload`   | nothing to do       | ends the load; idle    | ends the worker; idle | nothing to do |
 * | `dispose`  | disposed            | ends it; disposed      | ends it; disposed     | nothing to do |
 *
 * A load becomes ready or failed. When the last caller who waits for it aborts, it ends and the state is idle. Ready
 * becomes failed when the worker dies or loses its model. While a load has no worker yet, `probe` and `client` behave as
 * when idle. A pending call rejects when its worker ends, with the reason: `aborted` (unload), `disposed` (dispose), or
 * what ended the worker.
 */
export class Session {
  readonly #options: SessionOptions;
  readonly #disposal = new AbortController();
  /** Absent in idle, failed and disposed. */
  #load: PendingLoad | undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  /** Aborted by {@link dispose}, with an error `disposed`. */
  get disposal(): AbortSignal {
    return this.#disposal.signal;
  }

  /**
   * Makes plain calls to the current worker.
   *
   * @throws NearsightError `disposed`
   */
  get client(): SessionClient | undefined {
    this.disposal.throwIfAborted();
    return this.#load?.host?.client;
  }

  /**
   * The open model; starts a load, or joins the load under way. Aborting `signal` stops the load if no other caller
   * waits for it. A failed load is not remembered.
   */
  async open(signal?: AbortSignal): Promise<Opened> {
    signal?.throwIfAborted();
    this.disposal.throwIfAborted();
    const load = (this.#load ??= this.#start());
    load.waiters++;
    load.kept = false;
    try {
      return await race(load.opened, signal);
    } finally {
      if (--load.waiters === 0 && !load.facts && !load.kept) {
        this.#end(load, new NearsightError('aborted', 'No caller waits for this load any more.'));
      }
    }
  }

  /**
   * Answers a job; `read` rejects with a NearsightError, or with `signal`'s own reason. The model is loaded while the
   * job is still being made; if making it fails, the load goes on for the next request.
   */
  async generate(making: Promise<ChatJob>, signal?: AbortSignal): Promise<PartReader<Part>> {
    const failed = new AbortController();
    const opening = this.open(AbortSignal.any(signal ? [signal, failed.signal] : [failed.signal]));
    const pending = this.#load;
    making.catch((error: unknown) => {
      if (pending && !signal?.aborted) pending.kept = true;
      failed.abort(error);
    });
    // Fails as soon as making the job does; once the model is open, also when its worker ends, however long that takes.
    const ended = opening.then(({ host }) => race(making, host.dead));
    const [job, load] = await Promise.all([making, opening, ended]);
    this.#count(load, 1);
    const onFinish = (error?: unknown): void => {
      this.#count(load, -1);
      // Before the error is read: the next request must not be sent to a worker whose GPU has failed.
      if (isNearsightError(error) && ERRORS[error.code].fatal) load.host.stop(error);
    };
    return load.host.client.generate(job, { signal, onFinish });
  }

  /**
   * Asks a worker what this device can do; downloads no model.
   *
   * @param makeRequest which model and device
   */
  async probe(makeRequest = this.#options.request): Promise<Verdict> {
    this.disposal.throwIfAborted();
    let host: SessionHost | undefined;
    try {
      const request = await makeRequest();
      if (this.client) return await this.client.call((runtime) => runtime.probe(request));
      host = await this.#options.startEngine();
      return await race(host.probe(request), this.disposal);
    } catch (error) {
      if (!isNearsightError(error) || error.code !== 'unsupported_device') throw error;
      return { verdict: 'no', reason: error.message };
    } finally {
      host?.stop(new NearsightError('aborted', 'The probe has ended.'));
    }
  }

  /** Ends the worker or the load under way. All pending calls reject; the next request loads again. */
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
    for (let hangs = 0; ; hangs++) {
      try {
        // Firefox hangs in about one of a hundred workers that start threads (docs/browsers.md), and never in one that does not.
        return await this.#openIn(load, hangs < MAX_HANGS ? request : { ...request, threads: 1 });
      } catch (error) {
        if (!load.host?.hung || hangs === MAX_HANGS) throw error;
      }
    }
  }

  /** Opens the model in a new worker. */
  async #openIn(load: PendingLoad, request: LoadRequest): Promise<Opened> {
    const { signal } = load.abort;
    signal.throwIfAborted();
    const host = await this.#options.startEngine();
    load.host = host;
    host.dead.addEventListener('abort', () => {
      // A worker that hangs may be replaced within the same load; if it is not, the load fails.
      if (!host.hung) this.#end(load, host.dead.reason);
    });
    // Stops the worker if the load was ended meanwhile.
    const facts = await host.load(request, (state) => this.#setStatus(load, state), signal);
    if (facts.storage.kind === 'disk') askToPersist();
    const opened = Object.assign(load, { host, facts });
    this.#count(opened, 0);
    return opened;
  }

  /** Does nothing for a load that has ended, whose last parts may still arrive. */
  #setStatus(load: PendingLoad, value: StatusValue): void {
    if (this.#load === load) this.#options.setStatus(value);
  }

  /** Ends a load, done or not, and its worker. Ending it again does nothing. */
  #end(load: PendingLoad, reason: unknown): void {
    const current = this.#load === load;
    if (current) this.#load = undefined;
    load.abort.abort(reason);
    load.host?.stop(reason);
    if (!current || this.#disposal.signal.aborted) return;
    const error = asNearsightError(reason);
    this.#options.setStatus(error.code === 'aborted' ? { state: 'idle' } : { state: 'failed', error });
  }

  /** Counts the answers of a load that is done. */
  #count(load: PendingLoad, change: number): void {
    load.active += change;
    const { facts, active } = load;
    if (facts) this.#setStatus(load, { state: 'ready', facts, active });
  }
}
