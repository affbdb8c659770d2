import type { HeapTensor } from '../onnx/io-binding.ts';
import type { KvCache } from './kv-cache.ts';

/** Memory that runs read and write in place. */
export interface Heap {
  /** @returns the address, or undefined if there is no memory */
  allocate(bytes: number): number | undefined;
  free(address: number): void;
  /** Views on memory. Not to be kept: they go stale when the heap grows. */
  bytes(address: number, length: number): Uint8Array;
  floats(address: number, length: number): Float32Array;
  ints(address: number, length: number): Int32Array;
}

/** Keys and values in the heap. */
export interface HeapKvCache extends Omit<KvCache, 'feeds' | 'targets' | 'advance' | 'erase'> {
  /** Tensors by the names of the graph's inputs, and of its outputs. Other ones once the capacity has changed. */
  tensors(): { past: Record<string, HeapTensor>; present: Record<string, HeapTensor> };
  /** Counts the positions that a run has appended. */
  advance(count: number): void;
}
