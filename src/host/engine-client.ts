import { releaseProxy, transfer, wrap, type Endpoint, type Remote } from 'comlink';
import { race } from '../async/race.ts';
import type { LoadPart, LoadRequest, LoadState, ModelFacts } from '../protocol/calls.ts';
import type { Runtime } from '../protocol/runtime-calls.ts';
import { asNearsightError, NearsightError } from '../protocol/errors.ts';
import type { ChatJob, Part } from '../protocol/job.ts';
import { readPort, type PartReader, type ReadOptions } from '../protocol/port.ts';

type Hooks = Pick<ReadOptions, 'signal' | 'onFinish'>;

/**
 * Speaks to the {@link Runtime} at the other end of a Worker or a MessagePort. Every call rejects with a NearsightError
 * as soon as `dead` aborts, with its reason: a Comlink call whose worker has died never settles by itself.
 */
export class EngineClient {
  readonly #runtime: Remote<Runtime>;
  readonly #dead: AbortSignal;

  /** @param dead aborts when the other end is gone, with the NearsightError that says why */
  constructor(endpoint: Endpoint, dead: AbortSignal) {
    this.#runtime = wrap<Runtime>(endpoint);
    this.#dead = dead;
    dead.addEventListener('abort', () => this.#runtime[releaseProxy]());
  }

  /**
   * Makes a call that returns plain data: `call((runtime) => runtime.forget())`. Rejects too if it cannot be posted.
   */
  async call<T>(make: (runtime: Remote<Runtime>) => Promise<T>): Promise<T> {
    this.#dead.throwIfAborted();
    try {
      return await race(make(this.#runtime), this.#dead);
    } catch (error) {
      throw asNearsightError(error);
    }
  }

  /**
   * Opens the model.
   *
   * @param onLost called with the error that ends the load, or that takes the open model away later
   */
  async load(
    request: LoadRequest,
    onState: (state: LoadState) => void,
    onLost?: (error: unknown) => void,
  ): Promise<ModelFacts> {
    // The port stays open as long as the model can answer.
    const onFinish = (error: unknown): void => void (error && onLost?.(error));
    const parts = this.#stream<LoadPart>((runtime, port) => runtime.load(request, port), { onFinish });
    for (;;) {
      const { done, value } = await parts.read();
      if (done) throw new NearsightError('internal', 'The load ended without an answer.');
      if (value.state === 'ready') return value.facts;
      onState(value);
    }
  }

  /** Answers a job. Cancelling the reader, or aborting `signal`, stops the decode. */
  generate(job: ChatJob, hooks?: Hooks): PartReader<Part> {
    return this.#stream((runtime, port) => runtime.generate(job, port), hooks);
  }

  /** Makes a call that is answered over a port of its own. */
  #stream<P>(make: (runtime: Remote<Runtime>, port: MessagePort) => Promise<void>, hooks?: Hooks): PartReader<P> {
    const { port1, port2 } = new MessageChannel();
    const sent = this.call((runtime) => make(runtime, transfer(port2, [port2])));
    return readPort<P>(port1, { ...hooks, sent, dead: this.#dead });
  }
}
