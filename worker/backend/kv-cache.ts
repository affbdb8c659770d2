import { NearsightError } from '../../src/protocol/errors.ts';
import type { Tensor } from '../onnx/ort.ts';
import type { Session, Tensors } from '../onnx/ort-session.ts';
import type { KvSnapshot } from '../generation/prefix-entries.ts';

/** How a decoder's graph names and shapes its keys and values: [1, heads, positions, headDim] in and out. */
export interface KvLayout {
  /** Graph input to graph output, one pair for the keys and one for the values of each layer. */
  names: ReadonlyMap<string, string>;
  heads: number;
  headDim: number;
  type: 'float32' | 'float16';
}

/** Keys and values of the positions read so far. */
export interface KvCache {
  /** Positions held. */
  readonly length: number;
  /** Positions that there is room for. */
  readonly capacity: number;
  /**
   * Asked when there is no memory for more room: gives back what can be done without, and says whether that was anything.
   * It is asked again until there is room, or nothing left to give.
   */
  onOutOfMemory: () => boolean;
  /**
   * Makes room for `positions` in all, and keeps the first `kept` of those held.
   *
   * @throws NearsightError `context_length_exceeded` if there is no memory for it; nothing is held any more then
   */
  reserve(positions: number, kept: number): Promise<void>;
  /**
   * Makes more room, twice as much if the context goes so far, and keeps all that is held. What {@link feeds} and
   * {@link targets} gave before is of no more use. Runs that were submitted may still be under way.
   *
   * @throws NearsightError as {@link reserve} does
   */
  grow(): Promise<void>;
  /** Forgets all positions from `length` on. */
  rewind(length: number): void;
  /** What the next run reads. */
  feeds(): Tensors;
  /** Where the next run writes, if that is fixed. */
  targets(): Tensors;
  /** Takes over the keys and values that a run over `count` more positions gave. */
  advance(count: number, outputs: Tensors): void;
  /** Bytes that {@link snapshot} would take. */
  readonly snapshotBytes: number;
  /** Sets a copy of all positions aside. */
  snapshot(): KvSnapshot;
  /** Takes over the first `length` positions of what this cache set aside. Room was made before. */
  restore(saved: KvSnapshot, length: number): void;
  /** Leaves nothing behind, and no room either. */
  clear(): void;
}

/** Whether that is what {@link KvCache.reserve} throws where there is no memory. */
export function isOutOfMemory(error: unknown): boolean {
  return error instanceof NearsightError && error.code === 'context_length_exceeded';
}

const PAST = 'past_key_values.';
const PRESENT = 'present.';

/**
 * Reads the layout off a decoder's declared inputs and outputs.
 *
 * @throws NearsightError `load_failed` if they are not as exporters for this runtime write them
 */
export function kvLayout(decoder: Session): KvLayout {
  const names = new Map<string, string>();
  let first: { type: Tensor.Type; shape: readonly (number | string)[] } | undefined;
  for (const [name, port] of decoder.inputs) {
    if (!name.startsWith(PAST)) continue;
    const present = PRESENT + name.slice(PAST.length);
    if (!decoder.outputs.has(present)) throw new NearsightError('load_failed', `The decoder has no output ${present}.`);
    names.set(name, present);
    first ??= port;
  }
  const [, heads, , headDim] = first?.shape ?? [];
  const type = first?.type;
  if (typeof heads !== 'number' || typeof headDim !== 'number' || (type !== 'float32' && type !== 'float16')) {
    throw new NearsightError(
      'load_failed',
      `The decoder's ${PAST}* inputs are not [batch, heads, positions, size] floats.`,
    );
  }
  return { names, heads, headDim, type };
}
