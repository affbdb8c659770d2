import type { KvLayout } from '../onnx/kv-layout.ts';
import type { Tensor } from '../onnx/ort.ts';
import type { KvCache } from './kv-cache.ts';

/**
 * Where tensors live between runs: GPU buffers, or arrays for wasm. It has all operations on them that the decoder needs
 * besides running graphs. Rows are the last axis: a tensor [1, n, width] has n of them.
 */
export interface TensorMemory {
  /** Copies `count` rows of `from`, starting at row `at`, over the rows of `to` that start at `offset`. */
  copyRows(from: Tensor, at: number, count: number, to: Tensor, offset: number): void;
  /** A copy of a float32 tensor that is elsewhere, or the tensor itself. The caller must release it. */
  upload(tensor: Tensor): Tensor;
  /** One row as float32, whatever the tensor's type. */
  readRow(tensor: Tensor, row: number): Promise<Float32Array>;
  /** An empty KV cache that can grow to `maxPositions`. */
  cache(layout: KvLayout, maxPositions: number): KvCache;
  /** Buffers that this object and its caches hold. */
  buffers(): number;
  close(): void;
}
