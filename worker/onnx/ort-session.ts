import { type ByteSource, bytesIn, FileBytes } from '../../src/bytes/file-bytes.ts';
import { LazyBytes } from '../../src/bytes/lazy-bytes.ts';
import { freeMemory } from '../../src/bytes/free-memory.ts';
import type { NearsightError } from '../../src/protocol/errors.ts';
import { missingAsset } from '../../src/protocol/missing-asset.ts';
import type { InferenceSession, Ort, Tensor } from './ort.ts';
import { type Evaluate, evaluateOn } from './optimize/evaluate-model.ts';
import type { ExternalData, GraphFile } from './model/external-data.ts';
import { decode, encodeApart } from './model/graph.ts';
import { type Bindings, IoBinding } from './io-binding.ts';
import { ortModule, sessionHandle } from './ort-module.ts';
import { track } from './tensor.ts';

/** Name, element type and shape of a graph's input or output; a string in a shape is a free dimension. */
export interface Port {
  type: Tensor.Type;
  shape: readonly (number | string)[];
}

/** Tensors by the names that the graph gives its inputs or outputs. */
export type Tensors = Record<string, Tensor>;

/**
 * Most captures of one session. onnxruntime keeps each until the session is closed: for SmolVLM-256M some 255 buffers of
 * a step's intermediate values.
 */
const MAX_CAPTURES = 64;

/** A larger graph holds its weights. */
const MAX_GRAPH_BYTES = 16 << 20;

/** In a session that captures runs, each that is to be neither captured nor replayed has to say so. */
const UNCAPTURED = { gpu_graph_id: '-1' };

/** A run with its tensors for good. */
export interface BoundRun {
  run(): Promise<void>;
  /** Frees what this holds besides the tensors' memory. A capture is freed with the session only. */
  release(): Promise<void>;
}

let lastCall: Promise<void> = Promise.resolve();
let pendingCalls = 0;
/** Returns nothing, so that {@link lastCall} does not keep the outputs of the last run alive. */
const settled = (): void => void pendingCalls--;

/** Runs calls one after the other: onnxruntime allows one suspended call in the whole module. */
function serialize<T>(work: () => Promise<T>): Promise<T> {
  const isFirst = pendingCalls++ === 0;
  const result = isFirst ? work() : lastCall.then(work);
  lastCall = result.then(settled, settled);
  return result;
}

/**
 * Starts onnxruntime's wasm and threads, which it otherwise does when the first session is created. There is no call for
 * that alone, so it is asked for a session of nothing. If it does not start, the first session says why.
 */
export async function startOrt(ort: Ort): Promise<void> {
  await serialize(async () => ort.InferenceSession.create(new Uint8Array(1), { executionProviders: ['wasm'] })).catch(
    () => {},
  );
}

/** Evaluates subgraphs for the optimizer, serialized with all other calls. */
export function evaluator(ort: Ort): Evaluate {
  const evaluate = evaluateOn(ort, 'wasm');
  return (model, feeds) => serialize(() => evaluate(model, feeds));
}

/** One graph, ready to run. */
export class Session {
  readonly inputs: ReadonlyMap<string, Port>;
  readonly outputs: ReadonlyMap<string, Port>;
  /** Whether {@link captured} can capture runs. `total_sequence_length` is read from the GPU then. */
  readonly capturing: boolean;
  readonly #ort: Ort;
  readonly #session: InferenceSession;
  #captures = 0;
  #closed: Promise<void> | undefined;

  private constructor(ort: Ort, session: InferenceSession, capturing: boolean) {
    this.#ort = ort;
    this.#session = session;
    this.capturing = capturing;
    this.inputs = ports(session.inputMetadata);
    this.outputs = ports(session.outputMetadata);
  }

  /**
   * Opens a graph, on the GPU if a device is given (its outputs stay there), else on the CPU.
   *
   * `validationMode: 'disabled'` saves a wait for the GPU process at each run. GPU errors then arrive as the device's
   * `uncapturederror`, which `worker/webgpu` handles.
   *
   * @param capture on the GPU, whether runs are captured; fails for graphs that do not run on the GPU alone
   * @param file an optimized graph refers to the weights in the original file, which are read one by one if it is on disk;
   *   onnxruntime drops all files once it has opened the session
   * @throws NearsightError `load_failed` if a file cannot be read, or a file of onnxruntime is missing; what onnxruntime
   *   throws
   */
  static async open(ort: Ort, file: GraphFile, device?: GPUDevice, capture = false): Promise<Session> {
    // A graph that was not optimized would be read whole, and onnxruntime's heap would hold its weights three times.
    const isWhole = file.graph instanceof FileBytes || file.graph.byteLength > MAX_GRAPH_BYTES;
    const { graph, externalData } = isWhole ? encodeApart(decode(file)) : file;
    const mounted = new MountedFiles();
    const data = externalData.map(({ path, data: bytes }) => ({ path, data: mounted.of(bytes) }));
    // Errors only: otherwise the console shows that a graph's lengths are computed on the CPU, which is expected.
    const options: InferenceSession.SessionOptions = { logSeverityLevel: 3, externalData: data };
    if (device) {
      options.executionProviders = [{ name: 'webgpu', device, validationMode: 'disabled' }];
      options.preferredOutputLocation = 'gpu-buffer';
      if (capture) captureOnGpu(options);
    } else options.executionProviders = ['wasm'];
    const create = async () => ort.InferenceSession.create(bytesIn(graph), options);
    const session = await serialize(create)
      .catch((cause: unknown) => {
        throw failedRead(externalData) ?? missingWasm(ort, cause) ?? cause;
      })
      .finally(() => mounted.free());
    return new Session(ort, session, capture);
  }

  /**
   * Runs the graph. `into` holds tensors that outputs are written to. onnxruntime allocates the others, and the caller
   * must `release` them.
   */
  async run(feeds: Tensors, into: Tensors = {}): Promise<Tensors> {
    const fetches: Record<string, Tensor | null> = {};
    for (const name of this.outputs.keys()) fetches[name] = into[name] ?? null;
    const results = await serialize(() => this.#session.run(feeds, fetches, this.#options));
    for (const [name, tensor] of Object.entries(results)) {
      if (!(name in into)) track(tensor);
    }
    return results;
  }

  /** Runs the graph with tensors for all of its outputs, without the allocations of {@link run}. */
  async runInto(feeds: Tensors, into: Tensors): Promise<void> {
    await serialize(() => this.#session.run(feeds, into, this.#options));
  }

  /**
   * A run that is captured the first time and replayed from then on, which saves onnxruntime's work for each kernel. It
   * reads and writes these tensors for good: a replay with others would ignore them in silence. A session with too many
   * captures takes no more: the run is only bound then.
   *
   * @returns undefined if this session does not capture
   */
  captured(feeds: Tensors, into: Tensors): BoundRun | undefined {
    if (!this.capturing) return undefined;
    const [inputs, outputs] = [{ ...feeds }, { ...into }];
    const config = this.#captures < MAX_CAPTURES ? { gpu_graph_id: String(this.#captures++) } : UNCAPTURED;
    const bound = this.bound(inputs, outputs, config);
    if (bound) return bound;
    const options = { extra: config };
    return {
      run: async () => void (await serialize(() => this.#session.run(inputs, outputs, options))),
      release: async () => {},
    };
  }

  /**
   * A run whose inputs and outputs are bound once.
   *
   * @returns undefined if onnxruntime's module is not at hand
   */
  bound(feeds: Bindings, into: Bindings, config?: Record<string, string>): BoundRun | undefined {
    const module = ortModule(this.#ort);
    const handle = sessionHandle(this.#session);
    if (!module || handle === undefined) return undefined;
    let bound: IoBinding | undefined;
    const run = async (): Promise<void> => {
      bound ??= await IoBinding.bind(module, handle, feeds, into, config);
      await bound.run();
    };
    return {
      run: () => serialize(run),
      release: () =>
        serialize(async () => {
          bound?.release();
          bound = undefined;
        }),
    };
  }

  get #options(): InferenceSession.RunOptions {
    return this.capturing ? { extra: UNCAPTURED } : {};
  }

  /** Frees the weights. Calls after the first do nothing. */
  close(): Promise<void> {
    this.#closed ??= serialize(() => this.#session.release());
    return this.#closed;
  }
}

/**
 * Sets `enableGraphCapture` for the GPU's side of onnxruntime, which reads the option first. Its JavaScript reads it next,
 * and would then bind the tensors of the first run and give their buffers up.
 */
function captureOnGpu(options: InferenceSession.SessionOptions): void {
  let reads = 0;
  Object.defineProperty(options, 'enableGraphCapture', { enumerable: true, get: () => reads++ === 0 || undefined });
}

function ports(metadata: readonly InferenceSession.ValueMetadata[]): ReadonlyMap<string, Port> {
  const tensors = metadata.filter((value) => value.isTensor);
  return new Map(tensors.map(({ name, type, shape }) => [name, { type, shape }]));
}

/** Files as onnxruntime takes them. */
class MountedFiles {
  #last: Uint8Array<ArrayBuffer> | undefined;

  of(bytes: ByteSource): Uint8Array {
    if (bytes instanceof LazyBytes && !bytes.isScratch) return this.#freed(bytes);
    if (bytes instanceof Uint8Array) return bytes;
    throw new TypeError('Expected a Uint8Array.');
  }

  /** onnxruntime copies what it has read before it asks for more, so that the memory can be freed then. */
  #freed(bytes: LazyBytes): LazyBytes {
    return new LazyBytes(bytes.byteLength, (from, to) => {
      this.free();
      return (this.#last = bytes.subarray(from, to));
    });
  }

  free(): void {
    if (this.#last) freeMemory(this.#last);
    this.#last = undefined;
  }
}

/** More than a FileBytes may have read ahead. */
const PROBE_BYTES = 128 << 10;

/** Why a file cannot be read, if one cannot: onnxruntime only says that it could not load external data. */
function failedRead(files: readonly ExternalData[]): NearsightError | undefined {
  for (const { data } of files) {
    if (!(data instanceof FileBytes)) continue;
    try {
      // What it throws is kept as `failure`.
      data.subarray(0, PROBE_BYTES);
    } catch {}
    if (data.failure) return data.failure;
  }
  return undefined;
}

/** The error for a session that was not created because onnxruntime found no wasm, which it fetches at the first one. */
function missingWasm({ env }: Ort, cause: unknown): NearsightError | undefined {
  const why = String(cause);
  if (!/no available backend.*(CompileError|fetch|import)/s.test(why)) return undefined;
  const { wasmPaths } = env.wasm;
  const url = typeof wasmPaths === 'object' ? String(wasmPaths.wasm) : undefined;
  return missingAsset('The wasm of onnxruntime-web', url, why, cause);
}
