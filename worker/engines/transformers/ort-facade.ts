import type { Ort, Tensor } from '../../onnx/ort.ts';
import type { Session, Tensors } from '../../onnx/ort-session.ts';

/**
 * What transformers.js imports as onnxruntime: the build aliases its two packages to this module. It gives it the one
 * onnxruntime of the worker, whichever build that is, and sessions that are already open, so transformers.js neither
 * fetches nor creates any of its own.
 */
let used: { ort: Ort; openOnCpu: (graph: Uint8Array) => Promise<Session> } | undefined;

/** Says which onnxruntime, and how it opens the graphs that transformers.js brings along. */
export function useOrt(ort: Ort, openOnCpu: (graph: Uint8Array) => Promise<Session>): void {
  used = { ort, openOnCpu };
}

function current(): NonNullable<typeof used> {
  if (!used) throw new Error('No onnxruntime is loaded.');
  return used;
}

type TensorArguments = [type: Tensor.Type, data: Tensor['data'] | readonly unknown[], dims?: readonly number[]];

/** Stands for a tensor of whichever build: transformers.js recognises tensors by their class. */
class TensorHandle {
  readonly tensor: Tensor;

  constructor(...args: [Tensor] | TensorArguments) {
    this.tensor = args.length === 1 ? args[0] : Reflect.construct(current().ort.Tensor, args);
  }

  get type(): Tensor.Type {
    return this.tensor.type;
  }

  get data(): Tensor['data'] {
    return this.tensor.data;
  }

  get dims(): readonly number[] {
    return this.tensor.dims;
  }

  set dims(dims: readonly number[]) {
    Object.assign(this.tensor, { dims });
  }

  get size(): number {
    return this.tensor.size;
  }

  get location(): Tensor.DataLocation {
    return this.tensor.location;
  }

  dispose(): void {
    this.tensor.dispose();
  }
}
export { TensorHandle as Tensor };

/** A handle of a tensor. */
export function handleOf(tensor: Tensor): object {
  return new TensorHandle(tensor);
}

/** The tensor that a handle stands for; in Node, where nothing is aliased, transformers.js makes some of its own class. */
export function tensorOf(handle: unknown): Tensor {
  if (handle instanceof TensorHandle) return handle.tensor;
  const { type, data, dims }: { type?: unknown; data?: unknown; dims?: unknown } = Object(handle);
  return Reflect.construct(current().ort.Tensor, [type, data, dims]);
}

/** One of our sessions, as transformers.js uses one. */
export class SessionHandle {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  readonly inputMetadata: readonly object[];
  readonly config = {};
  /** Tensors that runs write outputs to. */
  targets: Tensors = {};
  readonly #session: Session;
  #failure: { error: unknown } | undefined;

  constructor(session: Session) {
    this.#session = session;
    this.inputNames = [...session.inputs.keys()];
    this.outputNames = [...session.outputs.keys()];
    this.inputMetadata = [...session.inputs].map(([name, { type, shape }]) => ({ name, isTensor: true, type, shape }));
  }

  /**
   * Never rejects: transformers.js chains all runs to one promise, so that after a rejection it would run nothing ever again.
   * Ask {@link throwFailure} afterwards.
   */
  async run(feeds: Readonly<Record<string, unknown>>): Promise<Record<string, object>> {
    try {
      const tensors: Tensors = {};
      for (const [name, handle] of Object.entries(feeds)) tensors[name] = tensorOf(handle);
      const outputs = await this.#session.run(tensors, this.targets);
      return Object.fromEntries(Object.entries(outputs).map(([name, tensor]) => [name, handleOf(tensor)]));
    } catch (error) {
      this.#failure = { error };
      return {};
    }
  }

  /** Throws what the last run threw. */
  throwFailure(): void {
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure) throw failure.error;
  }

  release(): Promise<void> {
    return this.#session.close();
  }
}

/** @public */
export const InferenceSession = {
  async create(graph: Uint8Array): Promise<SessionHandle> {
    return new SessionHandle(await current().openOnCpu(graph));
  },
};

/**
 * Settings are the worker's.
 *
 * @public
 */
export const env = {};
