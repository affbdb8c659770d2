import { isNearsightError, NearsightError } from '../../src/protocol/errors.ts';
import type { Tensors } from '../onnx/ort-session.ts';

/** Keys and values of the positions read so far. */
export interface KvCache {
  /** Positions held. */
  readonly length: number;
  /** Positions that memory is reserved for. */
  readonly capacity: number;
  /**
   * Called when the device is out of memory: evicts something and returns true, or returns false if nothing is left to
   * evict. It is called again until the reservation succeeds or it returns false.
   */
  onOutOfMemory: () => boolean;
  /**
   * Reserves memory for `positions` in total, and keeps the first `kept` of those held.
   *
   * @throws NearsightError `context_length_exceeded` if there is no memory for it; the cache is empty then
   */
  reserve(positions: number, kept: number): Promise<void>;
  /**
   * Grows the capacity, up to twice and to the context length, and keeps all positions. Invalidates the results of {@link feeds} and
   * {@link targets}. Submitted runs may still be in flight.
   *
   * @throws NearsightError as {@link reserve} does
   */
  grow(): Promise<void>;
  /** Drops all positions from `length` on; with states, from the last {@link reachable} one on. */
  rewind(length: number): void;
  /**
   * The longest length, up to `length`, that {@link rewind} can go back to. Absent: any. States that stand for one position
   * (of convolutions, of linear attention) cannot be cut.
   */
  reachable?(length: number): number;
  /** Inputs of the next run. On a GPU, the same object as long as its buffers are the same. */
  feeds(): Tensors;
  /** Outputs of the next run, if its buffers are fixed. */
  targets(): Tensors;
  /** Takes over the keys and values of `count` more positions from a run's outputs. */
  advance(count: number, outputs: Tensors): void;
  /** Bytes that {@link snapshot} would take. */
  snapshotBytes(base?: SnapshotBase): number;
  /** Copies all positions. Those that `base` holds need not be copied: `base` is not released before the new one then. */
  snapshot(base?: SnapshotBase): KvSnapshot;
  /** Takes over the first `length` positions of a snapshot of this cache. Memory must be reserved before. */
  restore(saved: KvSnapshot, length: number): void;
  /** Drops all positions and frees their memory. */
  clear(): void;
  /** Drops all positions and erases them, but keeps memory for a usual number of them, with the same buffers. */
  erase(): void;
}

/** A snapshot that has the same positions up to `length`. */
export interface SnapshotBase {
  snapshot: KvSnapshot;
  length: number;
}

/** A copy of a cache's keys and values. */
export interface KvSnapshot {
  /** Without those of its base. */
  readonly bytes: number;
  /** What holds its first positions; absent: it holds all. */
  readonly base?: SnapshotBase | undefined;
  /** True once it is known that there was no memory for the copy. */
  readonly lost: boolean;
  /** The longest length, up to `length`, that can be restored. Absent: any. */
  reachable?(length: number): number;
  release(): void;
}

/**
 * Whether this is the error that {@link KvCache.reserve} throws when there is no memory. Only for errors of a
 * reservation: admission throws the same code.
 */
export function isOutOfMemory(error: unknown): boolean {
  return isNearsightError(error) && error.code === 'context_length_exceeded';
}

/** The error of a reservation without memory for it. */
export function noMemoryFor(positions: number, bytes: number): NearsightError {
  return new NearsightError(
    'context_length_exceeded',
    `This device has no memory for the keys and values of ${positions} tokens (${Math.ceil(bytes / 1e6)} MB). ` +
      'Set or lower max_tokens, or send fewer messages or images.',
    { param: 'max_tokens' },
  );
}

/**
 * What a run threw that reads rows on the CPU; {@link isOutOfMemory} if onnxruntime's heap could not grow. Not of a trap ("memory
 * access out of bounds"), after which the heap cannot be used.
 */
export function failedRun(cause: unknown, rows: number, past: number): unknown {
  if (!/bad_alloc|alloc\w* failed|failed to alloc|out of memory/i.test(String(cause))) return cause;
  const message = `There is no memory to read ${rows} tokens after ${past}. Send fewer messages or images.`;
  return new NearsightError('context_length_exceeded', message, { cause });
}

/** The smallest capacity. */
const MIN_CAPACITY = 256;

/** Caches of a larger capacity are freed when they are erased. */
export const MOST_KEPT = 2048;

/**
 * The capacity to reserve: a power of two, or one and a half, but not more than a sequence may have. Few, because a step on the
 * GPU is captured anew for each.
 */
export function capacityFor(positions: number, maxPositions: number): number {
  let capacity = MIN_CAPACITY;
  while (capacity < positions) capacity *= 2;
  const between = (capacity * 3) / 4;
  const stepped = between >= positions && between >= MIN_CAPACITY ? between : capacity;
  return Math.max(positions, Math.min(stepped, maxPositions));
}
