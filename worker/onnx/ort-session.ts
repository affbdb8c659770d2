import type { InferenceSession, Ort, Tensor } from './ort.ts';
import { type Evaluate, evaluateOn } from './optimize/evaluate-model.ts';
import type { GraphFile } from './model/external-data.ts';

/** Name, element type and shape of a graph's input or output; a string in a shape is a free dimension. */
export interface Port {
  type: Tensor.Type;
  shape: readonly (number | string)[];
}

/** Tensors by the names that the graph gives its inputs or outputs. */
export type Tensors = Record<string, Tensor>;

/** GPU tensors that onnxruntime made and nobody has disposed of yet, for leak tests. */
const live = new Set<Tensor>();

/** How many GPU tensors onnxruntime holds for us. */
export function liveTensors(): number {
  return live.size;
}

/** Gives a tensor's memory back. Only GPU tensors hold any that the collector does not know about. */
export function release(tensor: Tensor): void {
  live.delete(tensor);
  tensor.dispose();
}

let turn: Promise<unknown> = Promise.resolve();

/** onnxruntime allows one suspended call in the whole module: creations and runs wait for each other here. */
function inTurn<T>(work: () => Promise<T>): Promise<T> {
  const result = turn.then(work);
  // Settles to nothing, so that the outputs of the last run are not kept until the next.
  turn = result.then(
    () => {},
    () => {},
  );
  return result;
}

/** Computes what surgery asks about parts of a graph, with the build that is loaded, in its turn. */
export function evaluator(ort: Ort): Evaluate {
  const evaluate = evaluateOn(ort, 'wasm');
  return (model, feeds) => inTurn(() => evaluate(model, feeds));
}

/** One graph, ready to run. */
export class Session {
  readonly inputs: ReadonlyMap<string, Port>;
  readonly outputs: ReadonlyMap<string, Port>;
  readonly #session: InferenceSession;

  private constructor(session: InferenceSession) {
    this.#session = session;
    this.inputs = ports(session.inputMetadata);
    this.outputs = ports(session.outputMetadata);
  }

  /**
   * Opens a graph, on the GPU if a device is given (its outputs stay there), else on the CPU.
   *
   * `validationMode: 'disabled'` spares every run a wait for the GPU process; the errors that it would have
   * reported arrive as the device's `uncapturederror`, which `worker/gpu` watches.
   *
   * @param model a file as it was read, or after surgery, which leaves the weights where they are
   */
  static async open(ort: Ort, model: Uint8Array | GraphFile, device?: GPUDevice): Promise<Session> {
    const { graph, externalData } = model instanceof Uint8Array ? { graph: model, externalData: [] } : model;
    // Errors only: that a plain graph's lengths are computed on the CPU is known, and no concern of the page's console.
    const options: InferenceSession.SessionOptions = { logSeverityLevel: 3, externalData };
    if (device) {
      options.executionProviders = [{ name: 'webgpu', device, validationMode: 'disabled' }];
      options.preferredOutputLocation = 'gpu-buffer';
    } else options.executionProviders = ['wasm'];
    return new Session(await inTurn(() => ort.InferenceSession.create(graph, options)));
  }

  /**
   * Runs the graph. `into` holds tensors that outputs are written to; the others are made by onnxruntime, and the
   * caller must {@link release} them.
   */
  async run(feeds: Tensors, into: Tensors = {}): Promise<Tensors> {
    const fetches: Record<string, Tensor | null> = {};
    for (const name of this.outputs.keys()) fetches[name] = into[name] ?? null;
    const results = await inTurn(() => this.#session.run(feeds, fetches));
    for (const [name, tensor] of Object.entries(results)) {
      if (tensor.location === 'gpu-buffer' && !(name in into)) live.add(tensor);
    }
    return results;
  }

  /** Runs the graph with tensors for all of its outputs: {@link run} without anything made for a single run. */
  async runInto(feeds: Tensors, into: Tensors): Promise<void> {
    await inTurn(() => this.#session.run(feeds, into));
  }

  /** Frees the weights. */
  close(): Promise<void> {
    return inTurn(() => this.#session.release());
  }
}

function ports(metadata: readonly InferenceSession.ValueMetadata[]): ReadonlyMap<string, Port> {
  const tensors = metadata.filter((value) => value.isTensor);
  return new Map(tensors.map(({ name, type, shape }) => [name, { type, shape }]));
}
