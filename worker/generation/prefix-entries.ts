import type { KvSnapshot, SnapshotBase } from '../backend/kv-cache.ts';
import type { Prompt } from '../families/processor.ts';

/** What keys and values were computed from: token ids, and the images whose features replace their placeholders. */
export interface Sequence {
  ids: Int32Array;
  /** In order; `start` is the position of an image's first feature row, `end` that after its last. */
  images: readonly { key: string; start: number; end: number }[];
}

/** Adds the positions of a prompt's images. Text may stand between the rows of an image: the markers of its tiles. */
export function sequenceOf({ ids, images }: Prompt, imageTokenId: number): Sequence {
  const positions = [...ids.keys()].filter((at) => ids[at] === imageTokenId);
  let row = 0;
  const located = images.map(({ key, tokens }) => {
    const start = positions[row] ?? ids.length;
    row += tokens;
    return { key, start, end: (positions[row - 1] ?? ids.length) + 1 };
  });
  return { ids, images: located };
}

/** Number of positions at the start of two sequences that are equal. An image is shared as a whole or not at all. */
export function commonPrefixLength(a: Sequence, b: Sequence): number {
  const shorter = Math.min(a.ids.length, b.ids.length);
  let length = 0;
  while (length < shorter && a.ids[length] === b.ids[length]) length++;
  for (const [index, image] of a.images.entries()) {
    if (image.start >= length) break;
    if (b.images[index]?.key !== image.key || image.end > length) return image.start;
  }
  return length;
}

/** A snapshot restores as many snapshots before itself, at most: each takes a copy of every head. */
const MOST_BASES = 8;

/**
 * Snapshots of sequences, within a budget of bytes. The least recently used are evicted first; those that others are based on
 * stay as long as these.
 */
export class PrefixEntries {
  readonly #budget: number;
  /** From the least to the most recently used. */
  readonly #sequences = new Map<KvSnapshot, Sequence>();

  constructor(budget: number) {
    this.#budget = budget;
  }

  get bytes(): number {
    return bytesOf(this.#sequences.keys());
  }

  get count(): number {
    return this.#sequences.size;
  }

  /** The snapshot that shares the longest prefix with a sequence, and the prefix's length. Marks it as used. */
  longest(sequence: Sequence): { snapshot: KvSnapshot; length: number } | undefined {
    let best: { snapshot: KvSnapshot; length: number; own: Sequence } | undefined;
    for (const [snapshot, own] of this.#sequences) {
      const shared = commonPrefixLength(own, sequence);
      const length = snapshot.reachable?.(shared) ?? shared;
      if (snapshot.lost) this.#drop(snapshot);
      else if (length > (best?.length ?? 0)) best = { snapshot, length, own };
    }
    if (!best) return undefined;
    this.#sequences.delete(best.snapshot);
    this.#sequences.set(best.snapshot, best.own);
    return best;
  }

  /** Whether a sequence is a prefix of an entry. */
  covers(sequence: Sequence): boolean {
    return [...this.#sequences.values()].some((own) => commonPrefixLength(own, sequence) === sequence.ids.length);
  }

  /**
   * What a snapshot of a sequence can be based on, so that many questions about one image hold it once. Not an entry that goes
   * on for longer than what is shared: the snapshot would keep all of it.
   *
   * @param least positions to share
   */
  baseOf(sequence: Sequence, least: number): SnapshotBase | undefined {
    let found: SnapshotBase | undefined;
    for (const [snapshot, own] of this.#sequences) {
      const length = commonPrefixLength(own, sequence);
      // What it has from its own base is shared with that.
      const isOwn = length > (snapshot.base?.length ?? 0);
      const isWorth = isOwn && length >= least && 2 * length >= own.ids.length && !snapshot.lost;
      const isNear = basesOf(snapshot).length < MOST_BASES;
      if (isWorth && isNear && length > (found?.length ?? 0)) found = { snapshot, length };
    }
    return found;
  }

  /**
   * Evicts entries until `bytes` more fit into the budget, but not the snapshots that are about to be used.
   *
   * @returns false if they cannot fit
   */
  reserve(bytes: number, inUse: readonly KvSnapshot[] = []): boolean {
    const kept = new Set(inUse.flatMap((snapshot) => [snapshot, ...basesOf(snapshot)]));
    if (bytes + bytesOf(kept) > this.#budget) return false;
    while (this.bytes + bytes > this.#budget) this.evict(inUse);
    return true;
  }

  /** Adds a sequence, and drops its prefixes unless others are based on them. Call {@link reserve} before. */
  add(sequence: Sequence, snapshot: KvSnapshot): void {
    const bases = basesOf(snapshot);
    for (const [other, own] of [...this.#sequences].toReversed()) {
      const isPrefix = commonPrefixLength(own, sequence) === own.ids.length;
      if (isPrefix && !this.#isBase(other) && !bases.includes(other)) this.#drop(other);
    }
    this.#sequences.set(snapshot, sequence);
  }

  /**
   * Evicts the least recently used entry, and one in use only if there is no other.
   *
   * @returns false if there is none
   */
  evict(inUse: readonly KvSnapshot[] = []): boolean {
    const snapshots = [...this.#sequences.keys()].filter((snapshot) => !this.#isBase(snapshot));
    const evicted = snapshots.find((snapshot) => !inUse.includes(snapshot)) ?? snapshots[0];
    if (evicted) this.#drop(evicted);
    return evicted !== undefined;
  }

  /** Whether a snapshot was not evicted. */
  has(snapshot: KvSnapshot): boolean {
    return this.#sequences.has(snapshot);
  }

  clear(): void {
    for (const snapshot of this.#sequences.keys()) this.#drop(snapshot);
  }

  #isBase(snapshot: KvSnapshot): boolean {
    return [...this.#sequences.keys()].some(({ base }) => base?.snapshot === snapshot);
  }

  #drop(snapshot: KvSnapshot): void {
    snapshot.release();
    this.#sequences.delete(snapshot);
  }
}

/** The snapshots that one needs besides itself. */
function basesOf({ base }: KvSnapshot): KvSnapshot[] {
  return base ? [base.snapshot, ...basesOf(base.snapshot)] : [];
}

function bytesOf(snapshots: Iterable<KvSnapshot>): number {
  return [...snapshots].reduce((sum, { bytes }) => sum + bytes, 0);
}
