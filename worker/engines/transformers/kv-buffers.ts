import { capacityFor, noMemoryFor } from '../../backend/kv-cache.ts';
import type { Ort, Tensor } from '../../onnx/ort.ts';
import type { Tensors } from '../../onnx/ort-session.ts';
import { elementBytes } from '../../onnx/tensor.ts';
import { attemptAllocation } from '../../webgpu/attempt-allocation.ts';
import { COPY_DST, COPY_SRC, STORAGE } from '../../webgpu/buffer-usage.ts';
import type { CachePort } from './cache-ports.ts';

/** Of each kind, one is read while another is written. */
const SETS = 2;

/** onnxruntime copies whole blocks of so many bytes. */
const BLOCK_BYTES = 16;

/**
 * GPU buffers for the tensors of a decoder's cache. A graph that does not write in place reads one set of them and writes
 * another. They are made here and not by onnxruntime, so that there is an error to act on where the device has no memory:
 * onnxruntime would compute with buffers that do not exist. They are larger than their tensors, and used again, so that
 * decoding within the capacity allocates nothing.
 */
export class KvBuffers {
  /** Evicts something, or returns false. */
  onOutOfMemory = (): boolean => false;
  readonly #ort: Ort;
  readonly #device: GPUDevice;
  readonly #ports: readonly CachePort[];
  readonly #maxPositions: number;
  #capacity = 0;
  readonly #free = new Map<CachePort, GPUBuffer[]>();
  readonly #used = new Map<Tensor, CachePort>();
  /** Some may have no memory, so their buffers are not used again. */
  readonly #copies = new WeakSet<Tensor>();

  constructor(ort: Ort, device: GPUDevice, ports: readonly CachePort[], maxPositions: number) {
    this.#ort = ort;
    this.#device = device;
    this.#ports = ports;
    this.#maxPositions = maxPositions;
  }

  /** Buffers that are in use, or kept to be used again. */
  get count(): number {
    return [...this.#free.values()].reduce((sum, buffers) => sum + buffers.length, this.#used.size);
  }

  /**
   * Reserves memory to read and write so many positions.
   *
   * @param own tensors that nothing else refers to: their buffers will be free again
   * @throws NearsightError `context_length_exceeded`
   */
  async reserve(positions: number, own: Tensors): Promise<void> {
    const missing = (port: CachePort): number =>
      SETS - this.#freeOf(port).length - (this.#isLarge(own[port.past], port) ? 1 : 0);
    const isEnough = positions <= this.#capacity;
    if (await this.#fill(isEnough ? this.#capacity : capacityFor(positions, this.#maxPositions), missing)) return;
    // Nothing is evicted for more than what is needed.
    if (isEnough) this.clear();
    await this.#fillEvicting(positions, missing);
  }

  /**
   * Tensors for what the next run returns, with so many positions then.
   *
   * @throws NearsightError `context_length_exceeded`
   */
  async take(positions: number): Promise<Tensors> {
    const missing = (port: CachePort): number => 1 - this.#freeOf(port).length;
    const grown = Math.max(positions, Math.min(2 * this.#capacity, this.#maxPositions));
    const isFull = positions > this.#capacity;
    // Nothing is evicted for more than what is needed. The step after the next needs the other set.
    if (!isFull) await this.#fillEvicting(this.#capacity, missing);
    else if (!(await this.#fill(grown, () => SETS)))
      await this.#fillEvicting(capacityFor(positions, this.#maxPositions), missing);
    return Object.fromEntries(this.#ports.map((port) => [port.present, this.takeOne(port.past, positions)]));
  }

  /** One of the reserved tensors. */
  takeOne(past: string, positions: number): Tensor {
    const port = this.#ports.find((each) => each.past === past);
    if (!port) throw new RangeError(`The decoder has no input ${past}.`);
    return this.#wrap(port, this.#freeOf(port).pop() ?? this.#create(port, this.#capacity), positions);
  }

  /** Copies of tensors, in buffers of exactly the size; and, later, whether there was no memory for them. */
  copy(tensors: Tensors, positions: number): [copies: Tensors, outOfMemory: Promise<boolean>] {
    return attemptAllocation(this.#device, () => {
      const copies: Tensors = {};
      const encoder = this.#device.createCommandEncoder();
      for (const [past, { gpuBuffer, size, type }] of Object.entries(tensors)) {
        const port = this.#ports.find((each) => each.past === past)!;
        const copy = this.#wrap(port, this.#create(port, positions, 'KV snapshot'), positions);
        encoder.copyBufferToBuffer(gpuBuffer, 0, copy.gpuBuffer, 0, 4 * Math.ceil((size * elementBytes(type)) / 4));
        this.#copies.add(copy);
        copies[past] = copy;
      }
      this.#device.queue.submit([encoder.finish()]);
      return copies;
    });
  }

  /** Takes a tensor's buffer back. */
  give(tensor: Tensor): void {
    const port = this.#used.get(tensor);
    if (!port) return;
    this.#used.delete(tensor);
    const buffers = this.#freeOf(port);
    const isUseful = this.#capacity > 0 && buffers.length < SETS && this.#isLarge(tensor, port);
    if (isUseful) buffers.push(tensor.gpuBuffer);
    else tensor.gpuBuffer.destroy();
  }

  /** Frees the memory of what is not in use. */
  clear(): void {
    for (const buffers of this.#free.values()) buffers.forEach((buffer) => buffer.destroy());
    this.#free.clear();
    this.#capacity = 0;
  }

  async #fillEvicting(capacity: number, missing: (port: CachePort) => number): Promise<void> {
    if (await this.#fill(capacity, missing)) return;
    do {
      // Destroyed buffers are freed once the submitted work is done.
      await this.#device.queue.onSubmittedWorkDone();
      if (await this.#fill(capacity, missing)) return;
    } while (this.onOutOfMemory());
    throw noMemoryFor(
      capacity,
      this.#ports.reduce((sum, port) => sum + SETS * bytesOf(port, capacity), 0),
    );
  }

  /** Allocates what is missing, or returns false if there is no memory for all of it. */
  async #fill(capacity: number, missing: (port: CachePort) => number): Promise<boolean> {
    const before = this.#capacity;
    if (capacity > before) this.clear();
    this.#capacity = capacity;
    const wanted = this.#ports.flatMap((port) => Array.from({ length: Math.max(0, missing(port)) }, () => port));
    if (wanted.length === 0) return true;
    const [created, failed] = attemptAllocation(this.#device, () =>
      wanted.map((port) => [port, this.#create(port, this.#capacity)] as const),
    );
    if (!(await failed)) {
      for (const [port, buffer] of created) this.#freeOf(port).push(buffer);
      return true;
    }
    for (const [, buffer] of created) buffer.destroy();
    this.#capacity = before;
    return false;
  }

  #create(port: CachePort, positions: number, label = port.past): GPUBuffer {
    return this.#device.createBuffer({
      label,
      size: bytesOf(port, positions),
      usage: STORAGE | COPY_SRC | COPY_DST,
    });
  }

  #wrap(port: CachePort, buffer: GPUBuffer, positions: number): Tensor {
    const dims = port.dims.map((dim) => dim ?? positions);
    const tensor = this.#ort.Tensor.fromGpuBuffer(buffer, { dataType: port.type, dims });
    this.#used.set(tensor, port);
    return tensor;
  }

  #freeOf(port: CachePort): GPUBuffer[] {
    const buffers = this.#free.get(port) ?? [];
    this.#free.set(port, buffers);
    return buffers;
  }

  /** Whether the tensor's buffer can be used for any other. */
  #isLarge(tensor: Tensor | undefined, port: CachePort): boolean {
    return tensor !== undefined && !this.#copies.has(tensor) && tensor.gpuBuffer.size >= bytesOf(port, this.#capacity);
  }
}

function bytesOf({ dims, type }: CachePort, positions: number): number {
  const count = dims.reduce<number>((product, dim) => product * (dim ?? positions), 1);
  return Math.ceil((count * elementBytes(type)) / BLOCK_BYTES) * BLOCK_BYTES;
}
