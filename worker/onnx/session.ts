import type { InferenceSession, Ort, Tensor } from './ort.ts';

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
  turn = result.catch(() => {});
  return result;
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
   */
  static async open(ort: Ort, graph: Uint8Array, device?: GPUDevice): Promise<Session> {
    const options: InferenceSession.SessionOptions = device
      ? {
          // Errors only: that lengths are computed on the CPU is known, and no concern of the page's console.
          logSeverityLevel: 3,
          executionProviders: [{ name: 'webgpu', device, validationMode: 'disabled' }],
          preferredOutputLocation: 'gpu-buffer',
        }
      : { logSeverityLevel: 3, executionProviders: ['wasm'] };
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

  /** Frees the weights. */
  close(): Promise<void> {
    return inTurn(() => this.#session.release());
  }
}

function ports(metadata: readonly InferenceSession.ValueMetadata[]): ReadonlyMap<string, Port> {
  const tensors = metadata.filter((value) => value.isTensor);
  return new Map(tensors.map(({ name, type, shape }) => [name, { type, shape }]));
}
