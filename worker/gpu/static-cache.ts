import type { KvCache, KvLayout } from '../decode/kv.ts';
import { elementBytes } from '../decode/memory.ts';
import type { Saved } from '../decode/prefix.ts';
import type { Ort, Tensor } from '../onnx/ort.ts';
import type { Tensors } from '../onnx/session.ts';
import { COPY_DST, COPY_SRC, STORAGE } from './usage.ts';

/** Reservations are rounded up to this many positions, so that requests of similar length use the same buffers. */
const BLOCK = 256;

/**
 * Keys and values in buffers of a fixed capacity. The same buffer is fed as past and given as target for present:
 * GroupQueryAttention compares the two and then writes the new positions in place, so that decoding neither copies
 * nor allocates.
 */
export class StaticCache implements KvCache {
  length = 0;
  readonly #ort: Ort;
  readonly #device: GPUDevice;
  readonly #layout: KvLayout;
  /** Bytes of one position of one head. */
  readonly #row: number;
  #capacity = 0;
  /** Past inputs, in the order of the layout. */
  #tensors: Tensor[] = [];

  constructor(ort: Ort, device: GPUDevice, layout: KvLayout) {
    this.#ort = ort;
    this.#device = device;
    this.#layout = layout;
    this.#row = layout.headDim * elementBytes(layout.type);
  }

  reserve(positions: number, kept: number): void {
    this.length = kept;
    if (positions <= this.#capacity) return;
    const old = this.#tensors;
    const oldCapacity = this.#capacity;
    // Both at once only where something is copied.
    if (kept === 0) this.clear();
    this.#capacity = Math.ceil(positions / BLOCK) * BLOCK;
    this.#tensors = [...this.#layout.names.keys()].map((label) => this.#allocate(label));
    if (kept === 0) return;
    this.#copy((encoder, index, head, tensor) => {
      const from = old[index]?.gpuBuffer;
      const [source, target] = [oldCapacity, this.#capacity].map((capacity) => head * capacity * this.#row);
      if (from) encoder.copyBufferToBuffer(from, source ?? 0, tensor.gpuBuffer, target ?? 0, kept * this.#row);
    });
    for (const tensor of old) tensor.dispose();
  }

  rewind(length: number): void {
    this.length = length;
  }

  feeds(): Tensors {
    return Object.fromEntries([...this.#layout.names.keys()].map((past, index) => [past, this.#at(index)]));
  }

  targets(): Tensors {
    return Object.fromEntries([...this.#layout.names.values()].map((present, index) => [present, this.#at(index)]));
  }

  advance(count: number): void {
    this.length += count;
  }

  get savedBytes(): number {
    return this.#layout.names.size * this.#layout.heads * this.length * this.#row;
  }

  save(): Saved {
    const size = this.savedBytes;
    // A GPU without memory for this is no reason to fail the request.
    this.#device.pushErrorScope('validation');
    this.#device.pushErrorScope('out-of-memory');
    const buffer = this.#device.createBuffer({ label: 'set aside', size, usage: COPY_SRC | COPY_DST });
    const made = this.#device.popErrorScope();
    const saved = new SavedBuffer(buffer, this.length);
    const rows = this.length * this.#row;
    this.#copy((encoder, index, head, tensor) => {
      const at = (index * this.#layout.heads + head) * rows;
      encoder.copyBufferToBuffer(tensor.gpuBuffer, head * this.#capacity * this.#row, buffer, at, rows);
    });
    saved.watch(made, this.#device.popErrorScope());
    return saved;
  }

  load(saved: Saved, length: number): void {
    if (!(saved instanceof SavedBuffer)) throw new TypeError('Saved by another cache.');
    const rows = saved.length * this.#row;
    this.#copy((encoder, index, head, tensor) => {
      const at = (index * this.#layout.heads + head) * rows;
      const to = head * this.#capacity * this.#row;
      encoder.copyBufferToBuffer(saved.buffer, at, tensor.gpuBuffer, to, length * this.#row);
    });
    this.length = length;
  }

  clear(): void {
    for (const tensor of this.#tensors) tensor.dispose();
    this.#tensors = [];
    this.#capacity = 0;
    this.length = 0;
  }

  get buffers(): number {
    return this.#tensors.length;
  }

  /** Copies something for each head of each tensor, in one submission. */
  #copy(each: (encoder: GPUCommandEncoder, index: number, head: number, tensor: Tensor) => void): void {
    const encoder = this.#device.createCommandEncoder();
    for (const [index, tensor] of this.#tensors.entries()) {
      for (let head = 0; head < this.#layout.heads; head++) each(encoder, index, head, tensor);
    }
    this.#device.queue.submit([encoder.finish()]);
  }

  #allocate(label: string): Tensor {
    const { heads, headDim, type } = this.#layout;
    const size = heads * this.#capacity * this.#row;
    const buffer = this.#device.createBuffer({ label, size, usage: STORAGE | COPY_SRC | COPY_DST });
    const dims = [1, heads, this.#capacity, headDim];
    return this.#ort.Tensor.fromGpuBuffer(buffer, { dataType: type, dims, dispose: () => buffer.destroy() });
  }

  #at(index: number): Tensor {
    const tensor = this.#tensors[index];
    if (!tensor) throw new RangeError('No room was reserved.');
    return tensor;
  }
}

/** Tensor after tensor, head after head, without room to grow. */
class SavedBuffer implements Saved {
  lost = false;
  readonly buffer: GPUBuffer;
  readonly length: number;

  constructor(buffer: GPUBuffer, length: number) {
    this.buffer = buffer;
    this.length = length;
  }

  get bytes(): number {
    return this.buffer.size;
  }

  watch(...errors: Promise<GPUError | null>[]): void {
    for (const error of errors) {
      error.then(
        (found) => (this.lost ||= found !== null),
        () => (this.lost = true),
      );
    }
  }

  release(): void {
    this.buffer.destroy();
  }
}
