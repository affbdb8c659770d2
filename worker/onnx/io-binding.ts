import type { OrtModule } from './ort-module.ts';
import type { Tensor } from './ort.ts';

const WARNING = 2;
const CPU = 1;
const GPU_BUFFER = 4;

/** onnxruntime's numbers of element types, and the bytes of an element. */
const TYPES = { float32: [1, 4], int32: [6, 4], int64: [7, 8], bool: [9, 1], float16: [10, 2] } as const;

/** A tensor in the module's heap. */
export interface HeapTensor {
  type: keyof typeof TYPES;
  dims: readonly number[];
  address: number;
}

/** Tensors by the names of a graph's inputs or outputs: in the heap, or in GPU buffers. */
export type Bindings = Readonly<Record<string, HeapTensor | Tensor>>;

/**
 * A run with its tensors bound once, all inputs and outputs. Through the API, onnxruntime's JavaScript wraps and names every
 * tensor again at each run, registers those on the GPU, and copies those that are not into the heap and out of it.
 */
export class IoBinding {
  readonly #module: OrtModule;
  readonly #session: number;
  readonly #options: number;
  readonly #binding: number;
  readonly #count: number;
  /** Where a run writes the handles of its outputs. */
  readonly #outputs: number;
  readonly #buffers: GPUBuffer[] = [];
  readonly #tensors: number[] = [];
  readonly #texts: number[] = [];

  private constructor(module: OrtModule, session: number, count: number, config: Record<string, string>) {
    this.#module = module;
    this.#session = session;
    this.#count = count;
    this.#outputs = module._malloc(4 * count);
    this.#options = this.#made(module._OrtCreateRunOptions(WARNING, 0, false, 0));
    for (const [key, value] of Object.entries(config)) {
      this.#check(module._OrtAddRunConfigEntry(this.#options, this.#text(key), this.#text(value)));
    }
    this.#binding = this.#made(module._OrtCreateBinding(session));
  }

  /**
   * Not while a run of the same module is suspended.
   *
   * @param session onnxruntime's handle
   * @param config run options
   */
  static async bind(
    module: OrtModule,
    session: number,
    feeds: Bindings,
    into: Bindings,
    config: Record<string, string> = {},
  ): Promise<IoBinding> {
    const bound = new IoBinding(module, session, Object.keys(into).length, config);
    try {
      for (const [name, tensor] of Object.entries(feeds)) {
        bound.#check(await module._OrtBindInput(bound.#binding, bound.#text(name), bound.#tensor(tensor)));
      }
      for (const [name, tensor] of Object.entries(into)) {
        bound.#check(module._OrtBindOutput(bound.#binding, bound.#text(name), bound.#tensor(tensor), 0));
      }
      return bound;
    } catch (error) {
      bound.release();
      throw error;
    }
  }

  /** @throws Error with onnxruntime's message */
  async run(): Promise<void> {
    const { _OrtRunWithBinding: run } = this.#module;
    this.#check(await run(this.#session, this.#binding, this.#count, this.#outputs, this.#options));
    for (let at = 0; at < this.#count; at++) {
      this.#module._OrtReleaseTensor(this.#module.getValue(this.#outputs + 4 * at, '*'));
    }
  }

  /** Frees what this took; not the buffers, which are the caller's. Before the session is closed. */
  release(): void {
    const module = this.#module;
    module._OrtReleaseBinding(this.#binding);
    for (const tensor of this.#tensors) module._OrtReleaseTensor(tensor);
    for (const buffer of this.#buffers) module.webgpuUnregisterBuffer(buffer);
    module._OrtReleaseRunOptions(this.#options);
    for (const text of this.#texts) module._free(text);
    module._free(this.#outputs);
  }

  #tensor(given: HeapTensor | Tensor): number {
    const { dims } = given;
    const [type, elementBytes] = isBindable(given.type) ? TYPES[given.type] : [];
    if (type === undefined) throw new TypeError(`No ${given.type} can be bound.`);
    const module = this.#module;
    const onGpu = 'gpuBuffer' in given;
    const data = onGpu ? module.webgpuRegisterBuffer(given.gpuBuffer, this.#session) : given.address;
    if (onGpu) this.#buffers.push(given.gpuBuffer);
    const shape = module._malloc(4 * dims.length);
    for (const [axis, size] of dims.entries()) module.setValue(shape + 4 * axis, size, 'i32');
    const bytes = elementBytes * dims.reduce((product, size) => product * size, 1);
    const tensor = module._OrtCreateTensor(type, data, bytes, shape, dims.length, onGpu ? GPU_BUFFER : CPU);
    module._free(shape);
    this.#tensors.push(this.#made(tensor));
    return tensor;
  }

  #text(text: string): number {
    const bytes = this.#module.lengthBytesUTF8(text) + 1;
    const pointer = this.#module._malloc(bytes);
    this.#module.stringToUTF8(text, pointer, bytes);
    this.#texts.push(pointer);
    return pointer;
  }

  #made(handle: number): number {
    if (handle === 0) throw this.#lastError();
    return handle;
  }

  #check(code: number): void {
    if (code !== 0) throw this.#lastError();
  }

  #lastError(): Error {
    const module = this.#module;
    const result = module._malloc(8);
    module._OrtGetLastError(result, result + 4);
    const message = module.getValue(result + 4, '*');
    module._free(result);
    return new Error(message ? module.UTF8ToString(message) : 'onnxruntime gave no reason');
  }
}

function isBindable(type: string): type is keyof typeof TYPES {
  return type in TYPES;
}
