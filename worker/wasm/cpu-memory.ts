import type { Ort, Tensor } from '../onnx/ort.ts';
import type { Tensors } from '../onnx/ort-session.ts';
import type { KvCache, KvLayout } from '../backend/kv-cache.ts';
import { type TensorMemory, elementBytes, floats, rowsOf } from '../backend/tensor-memory.ts';
import type { KvSnapshot } from '../generation/prefix-entries.ts';

/** Tensors in plain arrays, for the wasm build. */
export class CpuMemory implements TensorMemory {
  readonly #ort: Ort;

  constructor(ort: Ort) {
    this.#ort = ort;
  }

  copyRows(from: Tensor, at: number, count: number, to: Tensor, offset: number): void {
    const rowBytes = rowsOf(from).width * elementBytes(from.type);
    bytes(to).set(bytes(from).subarray(at * rowBytes, (at + count) * rowBytes), offset * rowBytes);
  }

  async readRow(tensor: Tensor, row: number): Promise<Float32Array> {
    const { width } = rowsOf(tensor);
    const { buffer, byteOffset } = bytes(tensor);
    return floats(buffer, byteOffset + row * width * elementBytes(tensor.type), width, tensor.type);
  }

  cache(layout: KvLayout): KvCache {
    return new CpuKvCache(this.#ort, layout);
  }

  buffers(): number {
    return 0;
  }

  close(): void {}
}

/** Keys and values that each run returns anew, one position longer: wasm copies what it is fed, so nothing is shared. */
class CpuKvCache implements KvCache {
  length = 0;
  /** Nothing is reserved: what a run returns has its own memory. */
  readonly capacity = Infinity;
  onOutOfMemory = (): boolean => false;
  readonly #ort: Ort;
  readonly #layout: KvLayout;
  #past: Tensors = {};

  constructor(ort: Ort, layout: KvLayout) {
    this.#ort = ort;
    this.#layout = layout;
    this.rewind(0);
  }

  async reserve(_positions: number, kept: number): Promise<void> {
    this.rewind(kept);
  }

  async grow(): Promise<void> {}

  rewind(length: number): void {
    if (length === this.length && length > 0) return;
    const { names, heads, headDim, type } = this.#layout;
    const row = headDim * elementBytes(type);
    for (const name of names.keys()) {
      const kept = new Uint8Array(heads * length * row);
      const past = this.#past[name];
      if (past) {
        for (let head = 0; head < heads; head++) {
          const start = head * this.length * row;
          kept.set(bytes(past).subarray(start, start + length * row), head * length * row);
        }
      }
      this.#past[name] = this.#tensor(kept.buffer, [1, heads, length, headDim]);
    }
    this.length = length;
  }

  feeds(): Tensors {
    return this.#past;
  }

  targets(): Tensors {
    return {};
  }

  advance(count: number, outputs: Tensors): void {
    for (const [name, present] of this.#layout.names) {
      const tensor = outputs[present];
      if (tensor) this.#past[name] = tensor;
    }
    this.length += count;
  }

  get snapshotBytes(): number {
    const { names, heads, headDim, type } = this.#layout;
    return names.size * heads * this.length * headDim * elementBytes(type);
  }

  snapshot(): KvSnapshot {
    // No copy: tensors are never written to, each run gives new ones.
    return new CpuKvSnapshot(this.#past, this.length, this.snapshotBytes);
  }

  restore(saved: KvSnapshot, length: number): void {
    if (!(saved instanceof CpuKvSnapshot)) throw new TypeError('Saved by another cache.');
    this.#past = { ...saved.tensors };
    this.length = saved.length;
    this.rewind(length);
  }

  clear(): void {
    this.rewind(0);
  }

  #tensor(data: ArrayBuffer, dims: number[]): Tensor {
    return this.#layout.type === 'float16'
      ? new this.#ort.Tensor('float16', new Uint16Array(data), dims)
      : new this.#ort.Tensor('float32', new Float32Array(data), dims);
  }
}

class CpuKvSnapshot implements KvSnapshot {
  readonly lost = false;
  readonly tensors: Tensors;
  readonly length: number;
  readonly bytes: number;

  constructor(tensors: Tensors, length: number, taken: number) {
    this.tensors = { ...tensors };
    this.length = length;
    this.bytes = taken;
  }

  /** The collector does. */
  release(): void {}
}

/** A CPU tensor's memory. Never shared: onnxruntime-web copies outputs out of the wasm heap. */
function bytes({ data }: Tensor): Uint8Array<ArrayBuffer> {
  if (!ArrayBuffer.isView(data) || !(data.buffer instanceof ArrayBuffer))
    throw new TypeError('Expected a tensor of numbers.');
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
