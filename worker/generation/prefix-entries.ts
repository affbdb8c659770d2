import type { KvSnapshot } from '../backend/kv-cache.ts';
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

/** Snapshots of sequences, within a budget of bytes. The least recently used are evicted first. */
export class PrefixEntries {
  readonly #budget: number;
  /** From the least to the most recently used. */
  readonly #sequences = new Map<KvSnapshot, Sequence>();

  constructor(budget: number) {
    this.#budget = budget;
  }

  get bytes(): number {
    return [...this.#sequences.keys()].reduce((sum, { bytes }) => sum + bytes, 0);
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
   * Evicts entries until `bytes` more fit into the budget, but not the snapshot that is about to be restored.
   *
   * @returns false if they cannot fit
   */
  reserve(bytes: number, inUse?: KvSnapshot): boolean {
    if (bytes + (inUse?.bytes ?? 0) > this.#budget) return false;
    while (this.bytes + bytes > this.#budget) this.evict(inUse);
    return true;
  }

  /** Adds a sequence and drops its prefixes. Call {@link reserve} before. */
  add(sequence: Sequence, snapshot: KvSnapshot): void {
    for (const [other, own] of this.#sequences) {
      if (commonPrefixLength(own, sequence) === own.ids.length) this.#drop(other);
    }
    this.#sequences.set(snapshot, sequence);
  }

  /**
   * Evicts the least recently used entry, and the one in use only if there is no other.
   *
   * @returns false if there is none
   */
  evict(inUse?: KvSnapshot): boolean {
    const snapshots = [...this.#sequences.keys()];
    const evicted = snapshots.find((snapshot) => snapshot !== inUse) ?? snapshots[0];
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

  #drop(snapshot: KvSnapshot): void {
    snapshot.release();
    this.#sequences.delete(snapshot);
  }
}
