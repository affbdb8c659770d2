import { vi } from 'vitest';
import { Session, type SessionEngine } from '../../../src/host/session.ts';
import { createStatus, type StatusValue } from '../../../src/host/status.ts';
import type { Part } from '../../../src/protocol/job.ts';
import type { LoadPart, LoadRequest, ModelFacts } from '../../../src/protocol/calls.ts';
import { ANSWER, partsOf } from '../job-parts.ts';

export const FACTS = { model: 'fake' } as ModelFacts;
export const ZEROS = { gpuBuffers: 0, ports: 0, waiting: 0, loaded: null };

/** A worker: it answers when `release` is called, and never if it was stopped before. */
class FakeEngine implements SessionEngine {
  readonly #death = new AbortController();
  readonly dead = this.#death.signal;
  hung = false;
  request: LoadRequest | undefined;
  part: ((part: LoadPart) => void) | undefined;
  readonly #released: Promise<void>;

  constructor(released: Promise<void>) {
    this.#released = released;
  }

  /** What is in flight rejects when it dies, as in the real one. */
  async #answer<T>(answer: T): Promise<T> {
    const death = new Promise<never>((_, reject) => {
      this.dead.addEventListener('abort', () => reject(this.dead.reason));
    });
    this.dead.throwIfAborted();
    return Promise.race([this.#released.then(() => answer), death]);
  }

  async load(request: LoadRequest, onPart: (part: LoadPart) => void, signal: AbortSignal): Promise<ModelFacts> {
    if (signal.aborted) this.stop(signal.reason);
    this.request = request;
    this.part = onPart;
    return this.#answer(FACTS);
  }

  generate(): ReadableStream<Part> {
    let parts: ReadableStreamDefaultReader<Part> | undefined;
    return new ReadableStream<Part>({
      pull: async (controller) => {
        parts ??= (await this.#answer(partsOf(...ANSWER))).getReader();
        const { done, value } = await parts.read();
        if (done) controller.close();
        else controller.enqueue(value);
      },
    });
  }

  probe = () => this.#answer({ verdict: 'yes' as const, reason: 'It can.' });
  forget = () => this.#answer(undefined);
  debugStats = () => this.#answer({ ...ZEROS, ports: 1 });

  stop(reason: unknown): void {
    this.#death.abort(reason);
  }
}

/** A session, the workers that it started, and what was heard of its state. */
export function makeSession() {
  const { status, set } = createStatus();
  const engines: FakeEngine[] = [];
  const heard: StatusValue['state'][] = [];
  status.subscribe(({ state }) => void (state !== heard.at(-1) && heard.push(state)));
  let release = (): void => {};
  let released = Promise.resolve();
  /** From now on workers answer only when they are released. */
  const hold = (): void => {
    released = new Promise((resolve) => (release = resolve));
  };
  const startEngine = vi.fn(async (): Promise<SessionEngine> => {
    const engine = new FakeEngine(released);
    engines.push(engine);
    return engine;
  });
  const request = vi.fn(async () => ({}) as LoadRequest);
  const session = new Session({ request, setStatus: set, startEngine });
  return { session, status, engines, heard, startEngine, request, hold, release: () => release() };
}
