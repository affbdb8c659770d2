import type { KvCache, KvLayout } from '../decode/kv.ts';
import { type Memory, elementBytes, floats, rowsOf } from '../decode/memory.ts';
import type { Ort, Tensor } from '../onnx/ort.ts';
import type { Tensors } from '../onnx/session.ts';
import { Readback } from './readback.ts';
import { COPY_DST, COPY_SRC, STORAGE } from './usage.ts';

/** Tensors in GPU buffers. Copies are queued behind the runs that were submitted before them. */
export class GpuMemory implements Memory {
  readonly #ort: Ort;
  readonly #device: GPUDevice;
  readonly #readback: Readback;
  readonly #caches: StaticCache[] = [];

  constructor(ort: Ort, device: GPUDevice) {
    this.#ort = ort;
    this.#device = device;
    this.#readback = new Readback(device);
  }

  copyRows(from: Tensor, at: number, count: number, to: Tensor, offset: number): void {
    const rowBytes = rowsOf(from).width * elementBytes(from.type);
    const encoder = this.#device.createCommandEncoder();
    encoder.copyBufferToBuffer(from.gpuBuffer, at * rowBytes, to.gpuBuffer, offset * rowBytes, count * rowBytes);
    this.#device.queue.submit([encoder.finish()]);
  }

  async readRow(tensor: Tensor, row: number): Promise<Float32Array> {
    const { width } = rowsOf(tensor);
    const rowBytes = width * elementBytes(tensor.type);
    return floats(await this.#readback.read(tensor.gpuBuffer, row * rowBytes, rowBytes), 0, width, tensor.type);
  }

  cache(layout: KvLayout): KvCache {
    const cache = new StaticCache(this.#ort, this.#device, layout);
    this.#caches.push(cache);
    return cache;
  }

  buffers(): number {
    return this.#caches.reduce((sum, cache) => sum + cache.buffers, this.#readback.buffers);
  }

  close(): void {
    for (const cache of this.#caches) cache.close();
    this.#readback.close();
  }
}

/** Reservations are rounded up to this many positions, so that requests of similar length use the same buffers. */
const BLOCK = 256;

/**
 * Keys and values in buffers of a fixed capacity. The same buffer is fed as past and given as target for present:
 * GroupQueryAttention compares the two and then writes the new positions in place, so that decoding neither copies
 * nor allocates.
 */
class StaticCache implements KvCache {
  length = 0;
  readonly #ort: Ort;
  readonly #device: GPUDevice;
  readonly #layout: KvLayout;
  #capacity = 0;
  #feeds: Tensors = {};
  #targets: Tensors = {};

  constructor(ort: Ort, device: GPUDevice, layout: KvLayout) {
    this.#ort = ort;
    this.#device = device;
    this.#layout = layout;
  }

  reserve(positions: number): void {
    this.length = 0;
    if (positions <= this.#capacity) return;
    this.close();
    this.#capacity = Math.ceil(positions / BLOCK) * BLOCK;
    const { names, heads, headDim, type } = this.#layout;
    const dims = [1, heads, this.#capacity, headDim];
    const size = heads * this.#capacity * headDim * elementBytes(type);
    const usage = STORAGE | COPY_SRC | COPY_DST;
    for (const [past, present] of names) {
      const buffer = this.#device.createBuffer({ label: past, size, usage });
      const tensor = this.#ort.Tensor.fromGpuBuffer(buffer, { dataType: type, dims, dispose: () => buffer.destroy() });
      this.#feeds[past] = tensor;
      this.#targets[present] = tensor;
    }
  }

  rewind(length: number): void {
    this.length = length;
  }

  feeds(): Tensors {
    return this.#feeds;
  }

  targets(): Tensors {
    return this.#targets;
  }

  advance(count: number): void {
    this.length += count;
  }

  get buffers(): number {
    return Object.keys(this.#feeds).length;
  }

  close(): void {
    for (const tensor of Object.values(this.#feeds)) tensor.dispose();
    this.#feeds = {};
    this.#targets = {};
    this.#capacity = 0;
  }
}
