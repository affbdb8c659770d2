import {
  capacityFor,
  type KvCache,
  type KvSnapshot,
  MOST_KEPT,
  noMemoryFor,
  type SnapshotBase,
} from '../backend/kv-cache.ts';
import type { KvLayout } from '../onnx/kv-layout.ts';
import type { Ort, Tensor } from '../onnx/ort.ts';
import type { Tensors } from '../onnx/ort-session.ts';
import { elementBytes } from '../onnx/tensor.ts';
import { attemptAllocation } from './attempt-allocation.ts';
import { COPY_DST, COPY_SRC, STORAGE } from './buffer-usage.ts';
import { submit } from './kernel.ts';

/**
 * Keys and values in buffers of a fixed capacity, which are replaced by larger ones to grow. The same buffer is fed as
 * past and bound as present: GroupQueryAttention compares the two and then writes the new positions in place, so that
 * decoding within the capacity neither copies nor allocates.
 */
export class GpuKvCache implements KvCache {
  length = 0;
  capacity = 0;
  onOutOfMemory = (): boolean => false;
  readonly #ort: Ort;
  readonly #device: GPUDevice;
  readonly #layout: KvLayout;
  readonly #maxPositions: number;
  /** Bytes of one position of one head. */
  readonly #rowBytes: number;
  /** Past inputs, in the order of the layout. */
  #tensors: Tensor[] = [];
  #feeds: Tensors | undefined;
  /** Of snapshots that are not released. */
  readonly #copies = new Set<GPUBuffer>();

  constructor(ort: Ort, device: GPUDevice, layout: KvLayout, maxPositions: number) {
    this.#ort = ort;
    this.#device = device;
    this.#layout = layout;
    this.#maxPositions = maxPositions;
    this.#rowBytes = layout.headDim * elementBytes(layout.type);
  }

  async reserve(positions: number, kept: number): Promise<void> {
    this.length = kept;
    if (positions > this.capacity) await this.#resize(capacityFor(positions, this.#maxPositions), positions);
  }

  async grow(): Promise<void> {
    if (this.capacity >= this.#maxPositions) throw new RangeError('The context is full.');
    const least = capacityFor(this.capacity + 1, this.#maxPositions);
    await this.#resize(Math.min(2 * this.capacity, this.#maxPositions), least);
  }

  rewind(length: number): void {
    this.length = length;
  }

  feeds(): Tensors {
    this.#feeds ??= Object.fromEntries([...this.#layout.names.keys()].map((past, index) => [past, this.#at(index)]));
    return this.#feeds;
  }

  targets(): Tensors {
    return Object.fromEntries([...this.#layout.names.values()].map((present, index) => [present, this.#at(index)]));
  }

  advance(count: number): void {
    this.length += count;
  }

  snapshotBytes(base?: SnapshotBase): number {
    return this.#layout.names.size * this.#layout.heads * (this.length - (base?.length ?? 0)) * this.#rowBytes;
  }

  snapshot(base?: SnapshotBase): KvSnapshot {
    const size = this.snapshotBytes(base);
    const start = base?.length ?? 0;
    const rows = (this.length - start) * this.#rowBytes;
    const [buffer, outOfMemory] = attemptAllocation(this.#device, () => {
      const created = this.#device.createBuffer({ label: 'KV snapshot', size, usage: COPY_SRC | COPY_DST });
      this.#copy((encoder, index, head, tensor) => {
        const from = (head * this.capacity + start) * this.#rowBytes;
        encoder.copyBufferToBuffer(tensor.gpuBuffer, from, created, (index * this.#layout.heads + head) * rows, rows);
      });
      return created;
    });
    this.#copies.add(buffer);
    const release = (): void => {
      this.#copies.delete(buffer);
      buffer.destroy();
    };
    return new GpuKvSnapshot({ buffer, length: this.length, base, release }, outOfMemory);
  }

  restore(saved: KvSnapshot, length: number): void {
    if (!(saved instanceof GpuKvSnapshot)) throw new TypeError('The snapshot was taken by another kind of cache.');
    const { buffer, base } = saved.held;
    const start = base?.length ?? 0;
    if (base) this.restore(base.snapshot, Math.min(length, start));
    const rows = (saved.held.length - start) * this.#rowBytes;
    const size = (length - start) * this.#rowBytes;
    if (size > 0) {
      this.#copy((encoder, index, head, tensor) => {
        const to = (head * this.capacity + start) * this.#rowBytes;
        encoder.copyBufferToBuffer(buffer, (index * this.#layout.heads + head) * rows, tensor.gpuBuffer, to, size);
      });
    }
    this.length = length;
  }

  erase(): void {
    this.length = 0;
    if (this.capacity > MOST_KEPT) return this.clear();
    submit(this.#device, (encoder) => {
      for (const { gpuBuffer } of this.#tensors) encoder.clearBuffer(gpuBuffer);
    });
  }

  clear(): void {
    for (const tensor of this.#tensors) tensor.dispose();
    this.#tensors = [];
    this.#feeds = undefined;
    this.capacity = 0;
    this.length = 0;
  }

  get buffers(): number {
    return this.#tensors.length + this.#copies.size;
  }

  /**
   * Replaces all tensors by larger ones and keeps their positions.
   *
   * @param least the capacity if there is no memory for the one wanted: nothing is evicted for more than what is needed
   */
  async #resize(wanted: number, least: number): Promise<void> {
    if (this.length === 0) this.clear();
    try {
      const isEnough = least < wanted && (await this.#tryAll(wanted, least));
      if (!isEnough) await this.#replaceAll(least, (labels) => this.#allocateEvicting(labels, least));
      this.capacity = isEnough ? wanted : least;
    } catch (error) {
      this.clear();
      throw error;
    }
    this.#feeds = undefined;
  }

  /** Replaces all tensors without evicting anything. If it fails, there is memory to replace the first by one of `least`. */
  async #tryAll(wanted: number, least: number): Promise<boolean> {
    const [label = ''] = this.#layout.names.keys();
    const spare = this.length > 0 ? await this.#allocate([`${label} spare`], least) : [];
    const isEnough =
      spare !== undefined && (await this.#replaceAll(wanted, (labels) => this.#allocate(labels, wanted)));
    spare?.forEach((tensor) => tensor.dispose());
    return isEnough;
  }

  /** Replaces tensors until no more can be allocated. @returns whether there is memory for all */
  async #replaceAll(capacity: number, allocate: (labels: string[]) => Promise<Tensor[] | undefined>): Promise<boolean> {
    const labels = [...this.#layout.names.keys()];
    if (this.#tensors.length === 0) {
      this.#tensors = (await allocate(labels)) ?? [];
      return this.#tensors.length > 0;
    }
    // One by one, so that only one exists twice at a time.
    for (const [index, label] of labels.entries()) {
      const [tensor] = (await allocate([label])) ?? [];
      if (!tensor) return false;
      this.#replace(index, tensor, capacity);
    }
    return true;
  }

  #replace(index: number, tensor: Tensor, capacity: number): void {
    const old = this.#at(index);
    const from = (old.dims[2] ?? 0) * this.#rowBytes;
    const size = this.length * this.#rowBytes;
    submit(this.#device, (encoder) => {
      for (let head = 0; head < this.#layout.heads; head++) {
        encoder.copyBufferToBuffer(
          old.gpuBuffer,
          head * from,
          tensor.gpuBuffer,
          head * capacity * this.#rowBytes,
          size,
        );
      }
    });
    this.#tensors[index] = tensor;
    old.dispose();
  }

  /** Allocates tensors. When out of memory, calls onOutOfMemory() to evict and tries again. */
  async #allocateEvicting(labels: readonly string[], capacity: number): Promise<Tensor[]> {
    let tensors = await this.#allocate(labels, capacity);
    if (tensors) return tensors;
    do {
      // A destroyed buffer (a replaced tensor, an evicted snapshot) is freed only after the submitted work is done, so wait
      // and try again.
      await this.#device.queue.onSubmittedWorkDone();
      tensors = await this.#allocate(labels, capacity);
      if (tensors) return tensors;
    } while (this.onOutOfMemory());
    const bytes = this.#layout.names.size * this.#layout.heads * capacity * this.#rowBytes;
    throw noMemoryFor(capacity, bytes);
  }

  /** Allocates tensors, or returns undefined if there is no memory for all of them. */
  async #allocate(labels: readonly string[], capacity: number): Promise<Tensor[] | undefined> {
    const { heads, headDim, type } = this.#layout;
    const size = heads * capacity * this.#rowBytes;
    const dims = [1, heads, capacity, headDim];
    const [tensors, outOfMemory] = attemptAllocation(this.#device, () =>
      labels.map((label) => {
        const buffer = this.#device.createBuffer({ label, size, usage: STORAGE | COPY_SRC | COPY_DST });
        return this.#ort.Tensor.fromGpuBuffer(buffer, { dataType: type, dims, dispose: () => buffer.destroy() });
      }),
    );
    if (!(await outOfMemory)) return tensors;
    for (const tensor of tensors) tensor.dispose();
    return undefined;
  }

  /** Encodes a copy for each head of each tensor, and submits them together. */
  #copy(encode: (encoder: GPUCommandEncoder, index: number, head: number, tensor: Tensor) => void): void {
    submit(this.#device, (encoder) => {
      for (const [index, tensor] of this.#tensors.entries()) {
        for (let head = 0; head < this.#layout.heads; head++) encode(encoder, index, head, tensor);
      }
    });
  }

  #at(index: number): Tensor {
    const tensor = this.#tensors[index];
    if (!tensor) throw new RangeError('No memory is reserved.');
    return tensor;
  }
}

interface Held {
  /** Tensor by tensor, head by head, the positions after the base, without spare capacity. */
  buffer: GPUBuffer;
  length: number;
  base: SnapshotBase | undefined;
  release: () => void;
}

class GpuKvSnapshot implements KvSnapshot {
  readonly held: Held;
  #lost = false;

  constructor(held: Held, outOfMemory: Promise<boolean>) {
    this.held = held;
    outOfMemory.then(
      (lost) => (this.#lost = lost),
      () => (this.#lost = true),
    );
  }

  get bytes(): number {
    return this.held.buffer.size;
  }

  get base(): SnapshotBase | undefined {
    return this.held.base;
  }

  get lost(): boolean {
    return this.#lost || this.base?.snapshot.lost === true;
  }

  release(): void {
    this.held.release();
  }
}
