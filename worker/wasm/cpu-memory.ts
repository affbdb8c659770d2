import type { KvCache } from '../backend/kv-cache.ts';
import type { TensorMemory } from '../backend/tensor-memory.ts';
import type { KvLayout } from '../onnx/kv-layout.ts';
import type { Ort, Tensor } from '../onnx/ort.ts';
import { bytesOf, elementBytes, rowsOf, toFloats } from '../onnx/tensor.ts';
import { CpuKvCache } from './cpu-kv-cache.ts';

/** Tensors in plain arrays, for the wasm build. */
export class CpuMemory implements TensorMemory {
  readonly #ort: Ort;

  constructor(ort: Ort) {
    this.#ort = ort;
  }

  copyRows(from: Tensor, at: number, count: number, to: Tensor, offset: number): void {
    const rowBytes = rowsOf(from).width * elementBytes(from.type);
    bytesOf(to).set(bytesOf(from).subarray(at * rowBytes, (at + count) * rowBytes), offset * rowBytes);
  }

  upload(tensor: Tensor): Tensor {
    return tensor;
  }

  async readRow(tensor: Tensor, row: number): Promise<Float32Array> {
    const { width } = rowsOf(tensor);
    const { buffer, byteOffset } = bytesOf(tensor);
    return toFloats(buffer, byteOffset + row * width * elementBytes(tensor.type), width, tensor.type);
  }

  cache(layout: KvLayout): KvCache {
    return new CpuKvCache(this.#ort, layout);
  }

  buffers(): number {
    return 0;
  }

  close(): void {}
}
