import type { KvCache } from '../backend/kv-cache.ts';
import type { TensorMemory } from '../backend/tensor-memory.ts';
import type { KvLayout } from '../onnx/kv-layout.ts';
import type { Ort, Tensor } from '../onnx/ort.ts';
import { elementBytes, rowsOf, toFloats, track } from '../onnx/tensor.ts';
import { Readback } from './buffer-readback.ts';
import { COPY_DST, COPY_SRC, STORAGE } from './buffer-usage.ts';
import { GpuKvCache } from './gpu-kv-cache.ts';
import { submit } from './kernel.ts';

/** Tensors in GPU buffers. Copies are queued after the runs that were submitted before them. */
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

  upload(tensor: Tensor): Tensor {
    if (tensor.location === 'gpu-buffer') return tensor;
    const { data, dims } = tensor;
    if (!(data instanceof Float32Array)) throw new TypeError('Embeddings should be float32.');
    const usage = STORAGE | COPY_SRC | COPY_DST;
    const buffer = this.#device.createBuffer({ label: 'embeddings', size: data.byteLength, usage });
    this.#device.queue.writeBuffer(buffer, 0, data);
    const dispose = (): void => buffer.destroy();
    const uploaded = this.#ort.Tensor.fromGpuBuffer(buffer, { dataType: 'float32', dims, dispose });
    track(uploaded);
    return uploaded;
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
