import type { Remote } from 'comlink';
import { vi } from 'vitest';
import { race } from '../../../src/async/race.ts';
import { Session, type SessionHost } from '../../../src/host/session.ts';
import { createStatus, type StatusValue } from '../../../src/host/status.ts';
import type { LoadRequest, LoadState, ModelFacts } from '../../../src/protocol/calls.ts';
import type { Runtime } from '../../../src/protocol/runtime-calls.ts';
import { ANSWER, partsOf } from '../job-parts.ts';

export const FACTS = { model: 'fake', storage: { kind: 'memory' } } as ModelFacts;
export const STATS = { gpuBuffers: 0, ports: 1, waiting: 0, loaded: null };

/** The plain calls of a worker. */
const RUNTIME = {
  probe: async () => ({ verdict: 'yes', reason: 'It can.' }),
  forget: async () => {},
  debugStats: async () => STATS,
} as unknown as Remote<Runtime>;

/** A worker: it answers when `release` is called, and never if it was stopped before. */
class FakeHost implements SessionHost {
  readonly #death = new AbortController();
  readonly dead = this.#death.signal;
  hung = false;
  request: LoadRequest | undefined;
  part: ((part: LoadState) => void) | undefined;
  /** Ends the newest answer with this error, or without one. */
  finish: ((error?: unknown) => void) | undefined;
  readonly #released: Promise<void>;

  constructor(released: Promise<void>) {
    this.#released = released;
  }

  /** Pending calls reject when it dies, as in the real one. */
  #answer<T>(answer: () => T | Promise<T>): Promise<T> {
    this.dead.throwIfAborted();
    return race(this.#released.then(answer), this.dead);
  }

  async load(request: LoadRequest, onPart: (part: LoadState) => void, signal: AbortSignal): Promise<ModelFacts> {
    if (signal.aborted) this.stop(signal.reason);
    this.request = request;
    this.part = onPart;
    return this.#answer(() => FACTS);
  }

  probe = async () => this.#answer(() => ({ verdict: 'yes' as const, reason: 'It can.' }));

  readonly client: SessionHost['client'] = {
    call: async (make) => this.#answer(() => make(RUNTIME)),
    generate: (_job, { onFinish } = {}) => {
      const parts = partsOf(...ANSWER);
      this.finish = onFinish;
      return { read: async () => this.#answer(() => parts.read()), cancel: () => parts.cancel() };
    },
  };

  stop(reason: unknown): void {
    this.#death.abort(reason);
  }
}

/** A session, the workers that it started, and the states that it went through. */
export function makeSession() {
  const { status, set } = createStatus();
  const hosts: FakeHost[] = [];
  const states: StatusValue['state'][] = [];
  status.subscribe(({ state }) => void (state !== states.at(-1) && states.push(state)));
  let release = (): void => {};
  let released = Promise.resolve();
  /** From now on workers answer only when they are released. */
  const hold = (): void => {
    released = new Promise((resolve) => (release = resolve));
  };
  const startEngine = vi.fn(async (): Promise<SessionHost> => {
    const host = new FakeHost(released);
    hosts.push(host);
    return host;
  });
  const request = vi.fn(async () => ({}) as LoadRequest);
  const session = new Session({ request, setStatus: set, startEngine });
  return { session, status, hosts, states, startEngine, request, hold, release: () => release() };
}
