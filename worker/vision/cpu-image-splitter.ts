import type { Ort, Tensor } from '../onnx/ort.ts';
import type { Picture } from '../families/processor.ts';

/** Cuts pictures into the views that are encoded, on the GPU or not. */
export interface ViewMaker {
  open(picture: Picture, signal: AbortSignal): Promise<Views>;
}

/** A picture's views, ready to be encoded. */
export interface Views {
  /**
   * The `pixel_values` of some of them, [1, count, 3, size, size]: in memory, or at the start of a GPU buffer, which the
   * next batch is written to as well. On the GPU it waits until the last batch but one was encoded, so that an abort
   * finds little queued.
   */
  batch(first: number, count: number): Promise<Float32Array | GPUBuffer>;
  close(): void;
}

/** In memory, for wasm. */
export const cpuViews: ViewMaker = {
  async open({ size, pixelValues }) {
    const values = await pixelValues();
    const length = 3 * size ** 2;
    return {
      batch: async (first, count) => values.subarray(first * length, (first + count) * length),
      close() {},
    };
  },
};

/** A batch as what it is to onnxruntime. */
export function pixelTensor(ort: Ort, batch: Float32Array | GPUBuffer, count: number, size: number): Tensor {
  const dims = [1, count, 3, size, size];
  if (batch instanceof Float32Array) return new ort.Tensor('float32', batch, dims);
  return ort.Tensor.fromGpuBuffer(batch, { dataType: 'float32', dims });
}
