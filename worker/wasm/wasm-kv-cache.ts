import type { Heap, HeapKvCache } from '../backend/heap.ts';
import { capacityFor, type KvSnapshot, noMemoryFor, type SnapshotBase } from '../backend/kv-cache.ts';
import type { KvLayout } from '../onnx/kv-layout.ts';
import type { HeapTensor } from '../onnx/io-binding.ts';

const FLOAT_BYTES = 4;

/**
 * Keys and values in onnxruntime's heap, at a capacity that grows in steps. Past and present are the same memory, which runs
 * append to, so that a step copies nothing.
 */
export class WasmKvCache implements HeapKvCache {
  length = 0;
  capacity = 0;
  /** Never called: what could be evicted is not in the heap. */
  onOutOfMemory = (): boolean => false;
  readonly #heap: Heap;
  readonly #layout: KvLayout;
  readonly #maxPositions: number;
  /** Bytes of one position of one head. */
  readonly #rowBytes: number;
  /** One for each input of the layout. */
  #blocks: { address: number; bytes: number }[] = [];

  /** @param layout of float32 */
  constructor(heap: Heap, layout: KvLayout, maxPositions: number) {
    this.#heap = heap;
    this.#layout = layout;
    this.#maxPositions = maxPositions;
    this.#rowBytes = layout.headDim * FLOAT_BYTES;
  }

  async reserve(positions: number, kept: number): Promise<void> {
    this.length = kept;
    if (positions > this.capacity) this.#resize(positions);
  }

  async grow(): Promise<void> {
    if (this.capacity >= this.#maxPositions) throw new RangeError('The context is full.');
    this.#resize(Math.min(2 * this.capacity, this.#maxPositions));
  }

  rewind(length: number): void {
    this.length = length;
  }

  advance(count: number): void {
    this.length += count;
  }

  tensors(): { past: Record<string, HeapTensor>; present: Record<string, HeapTensor> } {
    const { names, heads, headDim } = this.#layout;
    const dims = [1, heads, this.capacity, headDim];
    const past: Record<string, HeapTensor> = {};
    const present: Record<string, HeapTensor> = {};
    for (const [index, [input, output]] of [...names].entries()) {
      past[input] = present[output] = { type: 'float32', dims, address: this.#blocks[index]?.address ?? 0 };
    }
    return { past, present };
  }

  snapshotBytes(base?: SnapshotBase): number {
    return this.#layout.names.size * this.#layout.heads * (this.length - (base?.length ?? 0)) * this.#rowBytes;
  }

  snapshot(base?: SnapshotBase): KvSnapshot {
    let data: Uint8Array;
    try {
      data = new Uint8Array(this.snapshotBytes(base));
    } catch {
      return new HeapKvSnapshot(new Uint8Array(), 0, undefined, true);
    }
    const start = (base?.length ?? 0) * this.#rowBytes;
    const rows = this.length * this.#rowBytes - start;
    this.#eachHead((address, at) => data.set(this.#heap.bytes(address + start, rows), at * rows));
    return new HeapKvSnapshot(data, this.length, base, false);
  }

  restore(saved: KvSnapshot, length: number): void {
    if (!(saved instanceof HeapKvSnapshot)) throw new TypeError('The snapshot was taken by another kind of cache.');
    const { data, base } = saved;
    const first = base?.length ?? 0;
    if (base) this.restore(base.snapshot, Math.min(length, first));
    const start = first * this.#rowBytes;
    const rows = saved.length * this.#rowBytes - start;
    const kept = Math.max(0, length * this.#rowBytes - start);
    this.#eachHead((address, at) =>
      this.#heap.bytes(address + start, kept).set(data.subarray(at * rows, at * rows + kept)),
    );
    this.length = length;
  }

  clear(): void {
    for (const block of this.#blocks) this.#free(block);
    this.#blocks = [];
    this.capacity = 0;
    this.length = 0;
  }

  /** Replaces all tensors by larger ones and keeps their positions. */
  #resize(positions: number): void {
    const capacity = capacityFor(positions, this.#maxPositions);
    if (this.length === 0) this.clear();
    const rows = this.length * this.#rowBytes;
    const { heads, names } = this.#layout;
    // One by one, so that only one exists twice at a time.
    for (let index = 0; index < names.size; index++) {
      const block = this.#allocate(capacity);
      const old = this.#blocks[index];
      if (old) {
        for (let head = 0; head < heads; head++) {
          const from = this.#heap.bytes(old.address + head * this.capacity * this.#rowBytes, rows);
          this.#heap.bytes(block.address + head * capacity * this.#rowBytes, rows).set(from);
        }
        this.#free(old);
      }
      this.#blocks[index] = block;
    }
    this.capacity = capacity;
  }

  /** Erased, because the heap keeps freed memory. */
  #free({ address, bytes }: { address: number; bytes: number }): void {
    this.#heap.bytes(address, bytes).fill(0);
    this.#heap.free(address);
  }

  #allocate(capacity: number): { address: number; bytes: number } {
    const tensorBytes = this.#layout.heads * capacity * this.#rowBytes;
    const address = this.#heap.allocate(tensorBytes);
    if (address !== undefined) return { address, bytes: tensorBytes };
    this.clear();
    const bytes = this.#layout.names.size * tensorBytes;
    throw noMemoryFor(capacity, bytes);
  }

  /** @param work gets the address of a head's positions, and the number of heads before it */
  #eachHead(work: (address: number, at: number) => void): void {
    const { heads } = this.#layout;
    for (const [index, { address }] of this.#blocks.entries()) {
      for (let head = 0; head < heads; head++) {
        work(address + head * this.capacity * this.#rowBytes, index * heads + head);
      }
    }
  }
}

/** Outside the heap, which never shrinks. */
class HeapKvSnapshot implements KvSnapshot {
  /** Tensor by tensor, head by head, the positions after the base, without spare capacity. */
  readonly data: Uint8Array;
  readonly length: number;
  readonly base: SnapshotBase | undefined;
  readonly lost: boolean;

  constructor(data: Uint8Array, length: number, base: SnapshotBase | undefined, lost: boolean) {
    this.data = data;
    this.length = length;
    this.base = base;
    this.lost = lost || base?.snapshot.lost === true;
  }

  get bytes(): number {
    return this.data.length;
  }

  /** Left to the garbage collector. */
  release(): void {}
}
