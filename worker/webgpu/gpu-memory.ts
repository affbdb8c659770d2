import type { KvCache } from '../backend/kv-cache.ts';
import type { TensorMemory } from '../backend/tensor-memory.ts';
import type { KvLayout } from '../onnx/kv-layout.ts';
import type { Ort, Tensor } from '../onnx/ort.ts';
import { elementBytes, rowsOf, toFloats } from '../onnx/tensor.ts';
import { Readback } from './buffer-readback.ts';
import { GpuKvCache } from './gpu-kv-cache.ts';
import { submit } from './kernel.ts';

/** Tensors in GPU buffers. Copies are queued behind the runs that were submitted before them. */
export class GpuMemory implements TensorMemory {
  readonly #ort: Ort;
  readonly #device: GPUDevice;
  readonly #readback: Readback;
  readonly #caches: GpuKvCache[] = [];

  constructor(ort: Ort, device: GPUDevice) {
    this.#ort = ort;
    this.#device = device;
    this.#readback = new Readback(device);
  }

  copyRows(from: Tensor, at: number, count: number, to: Tensor, offset: number): void {
    const rowBytes = rowsOf(from).width * elementBytes(from.type);
    submit(this.#device, (encoder) =>
      encoder.copyBufferToBuffer(from.gpuBuffer, at * rowBytes, to.gpuBuffer, offset * rowBytes, count * rowBytes),
    );
  }

  async readRow(tensor: Tensor, row: number): Promise<Float32Array> {
    const { width } = rowsOf(tensor);
    const rowBytes = width * elementBytes(tensor.type);
    return toFloats(await this.#readback.read(tensor.gpuBuffer, row * rowBytes, rowBytes), 0, width, tensor.type);
  }

  cache(layout: KvLayout, maxPositions: number): KvCache {
    const cache = new GpuKvCache(this.#ort, this.#device, layout, maxPositions);
    this.#caches.push(cache);
    return cache;
  }

  buffers(): number {
    return this.#caches.reduce((sum, cache) => sum + cache.buffers, this.#readback.buffers);
  }

  close(): void {
    for (const cache of this.#caches) cache.clear();
    this.#readback.close();
  }
}
