import type { Ort, Tensor } from '../onnx/ort.ts';
import type { KvCache, KvLayout } from './kv-cache.ts';

/**
 * Where tensors live between runs: in GPU buffers, or in plain arrays for wasm. All that the decoder needs to do with
 * them besides running graphs is here, so that it is written once.
 *
 * Rows are the last axis: a tensor [1, n, width] has n of them.
 */
export interface TensorMemory {
  /** Copies `count` rows of `from`, starting at row `at`, over those of `to` that start at row `offset`. */
  copyRows(from: Tensor, at: number, count: number, to: Tensor, offset: number): void;
  /** One row as float32, whatever the tensor's type. */
  readRow(tensor: Tensor, row: number): Promise<Float32Array>;
  /** An empty cache of keys and values. It grows to `maxPositions` positions. */
  cache(layout: KvLayout, most: number): KvCache;
  /** Buffers that this object and its caches hold. */
  buffers(): number;
  close(): void;
}

/** Number of rows and elements in each. */
export function rowsOf({ dims }: Tensor): { rows: number; width: number } {
  return { rows: dims.slice(0, -1).reduce((product, dim) => product * dim, 1), width: dims.at(-1) ?? 0 };
}

/** Bytes of one element of the types that features, keys, values and logits come in. */
export function elementBytes(type: Tensor.Type): 2 | 4 {
  return type === 'float16' ? 2 : 4;
}

/** IEEE 754 half precision to float32. */
export function halfToFloat(halves: Uint16Array): Float32Array {
  return Float32Array.from(halves, (bits) => {
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    const size =
      exponent === 31
        ? fraction === 0
          ? Infinity
          : NaN
        : exponent === 0
          ? fraction * 2 ** -24
          : (1024 + fraction) * 2 ** (exponent - 25);
    return bits & 0x8000 ? -size : size;
  });
}

/** Elements as float32, from the bytes of a tensor of type float32 or float16. */
export function floats(bytes: ArrayBuffer, offset: number, count: number, type: Tensor.Type): Float32Array {
  if (type === 'float16') return halfToFloat(new Uint16Array(bytes, offset, count));
  return new Float32Array(bytes, offset, count).slice();
}

/** Integers as graphs take them. */
export function int64(ort: Ort, values: Int32Array, dims: number[]): Tensor {
  return new ort.Tensor('int64', BigInt64Array.from(values, BigInt), dims);
}
