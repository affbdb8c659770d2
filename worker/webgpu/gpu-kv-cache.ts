import { NearsightError } from '../../src/protocol/errors.ts';
import type { KvCache, KvLayout } from '../backend/kv-cache.ts';
import { elementBytes } from '../backend/tensor-memory.ts';
import type { KvSnapshot } from '../generation/prefix-entries.ts';
import type { Ort, Tensor } from '../onnx/ort.ts';
import type { Tensors } from '../onnx/ort-session.ts';
import { COPY_DST, COPY_SRC, STORAGE } from './buffer-usage.ts';

/** Reservations are rounded up to this many positions, so that requests of similar length use the same buffers. */
const BLOCK = 256;

/**
 * Keys and values in buffers of a fixed capacity, until they are exchanged for larger ones. The same buffer is fed as
 * past and given as target for present: GroupQueryAttention compares the two and then writes the new positions in place,
 * so that decoding within the capacity neither copies nor allocates.
 */
export class GpuKvCache implements KvCache {
  length = 0;
  onOutOfMemory = (): boolean => false;
  readonly #ort: Ort;
  readonly #device: GPUDevice;
  readonly #layout: KvLayout;
  readonly #maxPositions: number;
  /** Bytes of one position of one head. */
  readonly #row: number;
  #capacity = 0;
  /** Past inputs, in the order of the layout. */
  #tensors: Tensor[] = [];

  constructor(ort: Ort, device: GPUDevice, layout: KvLayout, most: number) {
    this.#ort = ort;
    this.#device = device;
    this.#layout = layout;
    this.#maxPositions = most;
    this.#row = layout.headDim * elementBytes(layout.type);
  }

  get capacity(): number {
    return this.#capacity;
  }

  async reserve(positions: number, kept: number): Promise<void> {
    this.length = kept;
    if (positions > this.#capacity) await this.#resize(positions);
  }

  async grow(): Promise<void> {
    if (this.#capacity >= this.#maxPositions) throw new RangeError('The context is full.');
    await this.#resize(Math.min(2 * this.#capacity, this.#maxPositions));
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

  get snapshotBytes(): number {
    return this.#layout.names.size * this.#layout.heads * this.length * this.#row;
  }

  snapshot(): KvSnapshot {
    const size = this.snapshotBytes;
    // A GPU without memory for this is no reason to fail the request.
    this.#device.pushErrorScope('validation');
    this.#device.pushErrorScope('out-of-memory');
    const buffer = this.#device.createBuffer({ label: 'set aside', size, usage: COPY_SRC | COPY_DST });
    const made = this.#device.popErrorScope();
    const saved = new GpuKvSnapshot(buffer, this.length);
    const rows = this.length * this.#row;
    this.#copy((encoder, index, head, tensor) => {
      const at = (index * this.#layout.heads + head) * rows;
      encoder.copyBufferToBuffer(tensor.gpuBuffer, head * this.#capacity * this.#row, buffer, at, rows);
    });
    saved.watch(made, this.#device.popErrorScope());
    return saved;
  }

  restore(saved: KvSnapshot, length: number): void {
    if (!(saved instanceof GpuKvSnapshot)) throw new TypeError('Saved by another cache.');
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

  /** Exchanges all tensors for larger ones that hold the same. */
  async #resize(positions: number): Promise<void> {
    const capacity = Math.ceil(positions / BLOCK) * BLOCK;
    const labels = [...this.#layout.names.keys()];
    try {
      if (this.length === 0) {
        this.clear();
        this.#tensors = await this.#allocateEvicting(labels, capacity);
      } else {
        // One after the other: of one only, old and new are needed together.
        for (const [index, label] of labels.entries()) await this.#replace(index, label, capacity);
      }
    } catch (error) {
      this.clear();
      throw error;
    }
    this.#capacity = capacity;
  }

  async #replace(index: number, label: string, capacity: number): Promise<void> {
    const old = this.#at(index);
    const tensor = (await this.#allocateEvicting([label], capacity))[0]!;
    const encoder = this.#device.createCommandEncoder();
    const [from, to] = [this.#capacity * this.#row, capacity * this.#row];
    for (let head = 0; head < this.#layout.heads; head++) {
      encoder.copyBufferToBuffer(old.gpuBuffer, head * from, tensor.gpuBuffer, head * to, this.length * this.#row);
    }
    this.#device.queue.submit([encoder.finish()]);
    this.#tensors[index] = tensor;
    old.dispose();
  }

  /** Tensors of that capacity. On out-of-memory, calls onOutOfMemory() to evict and tries again. */
  async #allocateEvicting(labels: readonly string[], capacity: number): Promise<Tensor[]> {
    let made = await this.#allocate(labels, capacity);
    if (made) return made;
    do {
      // Only then is free what was destroyed: tensors that were replaced, and what was given back.
      await this.#device.queue.onSubmittedWorkDone();
      made = await this.#allocate(labels, capacity);
      if (made) return made;
    } while (this.onOutOfMemory());
    throw this.#noMemory(capacity);
  }

  /** Tensors of that capacity, or none if there is no memory for all of them. */
  async #allocate(labels: readonly string[], capacity: number): Promise<Tensor[] | undefined> {
    const { heads, headDim, type } = this.#layout;
    const size = heads * capacity * this.#row;
    this.#device.pushErrorScope('validation');
    this.#device.pushErrorScope('out-of-memory');
    const made = labels.map((label) => {
      const buffer = this.#device.createBuffer({ label, size, usage: STORAGE | COPY_SRC | COPY_DST });
      const dims = [1, heads, capacity, headDim];
      return this.#ort.Tensor.fromGpuBuffer(buffer, { dataType: type, dims, dispose: () => buffer.destroy() });
    });
    const errors = await Promise.all([this.#device.popErrorScope(), this.#device.popErrorScope()]);
    if (errors.every((error) => error === null)) return made;
    for (const tensor of made) tensor.dispose();
    return undefined;
  }

  #noMemory(capacity: number): NearsightError {
    const bytes = this.#layout.names.size * this.#layout.heads * capacity * this.#row;
    return new NearsightError(
      'context_length_exceeded',
      `This device has no memory for the keys and values of ${capacity} tokens (${Math.ceil(bytes / 1e6)} MB). ` +
        'Set max_tokens, or a smaller one, or send fewer messages or images.',
      { param: 'max_tokens' },
    );
  }

  /** Copies something for each head of each tensor, in one submission. */
  #copy(each: (encoder: GPUCommandEncoder, index: number, head: number, tensor: Tensor) => void): void {
    const encoder = this.#device.createCommandEncoder();
    for (const [index, tensor] of this.#tensors.entries()) {
      for (let head = 0; head < this.#layout.heads; head++) each(encoder, index, head, tensor);
    }
    this.#device.queue.submit([encoder.finish()]);
  }

  #at(index: number): Tensor {
    const tensor = this.#tensors[index];
    if (!tensor) throw new RangeError('No room was reserved.');
    return tensor;
  }
}

/** Tensor after tensor, head after head, without room to grow. */
class GpuKvSnapshot implements KvSnapshot {
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
