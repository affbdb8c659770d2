import type { KvCache, KvSnapshot } from '../backend/kv-cache.ts';
import type { KvLayout } from '../onnx/kv-layout.ts';
import type { Ort } from '../onnx/ort.ts';
import type { Tensors } from '../onnx/ort-session.ts';
import { bytesOf, elementBytes } from '../onnx/tensor.ts';

/** Keys and values that each run returns as new tensors, longer than those it was fed. */
export class CpuKvCache implements KvCache {
  length = 0;
  /** Nothing is reserved: the tensors that a run returns have their own memory. */
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
          kept.set(bytesOf(past).subarray(start, start + length * row), head * length * row);
        }
      }
      const data = type === 'float16' ? new Uint16Array(kept.buffer) : new Float32Array(kept.buffer);
      this.#past[name] = new this.#ort.Tensor(type, data, [1, heads, length, headDim]);
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

  snapshotBytes(): number {
    return Object.values(this.#past).reduce((sum, tensor) => sum + bytesOf(tensor).length, 0);
  }

  snapshot(): KvSnapshot {
    // No copy: tensors are never written to, because each run returns new ones.
    return new CpuKvSnapshot(this.#past, this.length, this.snapshotBytes());
  }

  restore(saved: KvSnapshot, length: number): void {
    if (!(saved instanceof CpuKvSnapshot)) throw new TypeError('The snapshot was taken by another kind of cache.');
    this.#past = { ...saved.tensors };
    this.length = saved.length;
    this.rewind(length);
  }

  clear(): void {
    this.rewind(0);
  }

  erase(): void {
    this.clear();
  }
}

class CpuKvSnapshot implements KvSnapshot {
  readonly lost = false;
  readonly tensors: Tensors;
  readonly length: number;
  readonly bytes: number;

  constructor(tensors: Tensors, length: number, bytes: number) {
    this.tensors = { ...tensors };
    this.length = length;
    this.bytes = bytes;
  }

  /** Left to the garbage collector. */
  release(): void {}
}
