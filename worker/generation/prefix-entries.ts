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
  const positions = ids.reduce<number[]>((found, id, at) => {
    if (id === imageTokenId) found.push(at);
    return found;
  }, []);
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

interface PrefixEntry<S> {
  sequence: Sequence;
  snapshot: S;
}

/** Snapshots of sequences, within a budget of bytes. The least recently used are evicted first. */
export class PrefixEntries<S extends KvSnapshot> {
  readonly #budget: number;
  /** From the least to the most recently used. */
  #entries: PrefixEntry<S>[] = [];

  constructor(budget: number) {
    this.#budget = budget;
  }

  get bytes(): number {
    return this.#entries.reduce((sum, { snapshot }) => sum + snapshot.bytes, 0);
  }

  get count(): number {
    return this.#entries.length;
  }

  /** The snapshot that shares the longest prefix with a sequence, and the prefix's length. Marks it as used. */
  longest(sequence: Sequence): { snapshot: S; length: number } | undefined {
    let best: { entry: PrefixEntry<S>; length: number } | undefined;
    for (const entry of this.#entries) {
      if (entry.snapshot.lost) this.#drop(entry);
    }
    for (const entry of this.#entries) {
      const length = commonPrefixLength(entry.sequence, sequence);
      if (length > (best?.length ?? 0)) best = { entry, length };
    }
    if (!best) return undefined;
    const { entry, length } = best;
    this.#entries = [...this.#entries.filter((other) => other !== entry), entry];
    return { snapshot: entry.snapshot, length };
  }

  /** Whether a sequence is a prefix of an entry. */
  covers(sequence: Sequence): boolean {
    return this.#entries.some((entry) => commonPrefixLength(entry.sequence, sequence) === sequence.ids.length);
  }

  /**
   * Evicts entries until `bytes` more fit into the budget, but not the snapshot that is about to be restored.
   *
   * @returns false if they cannot fit
   */
  reserve(bytes: number, inUse?: S): boolean {
    if (bytes + (inUse?.bytes ?? 0) > this.#budget) return false;
    while (this.bytes + bytes > this.#budget) {
      const oldest = this.#entries.find(({ snapshot }) => snapshot !== inUse);
      if (oldest) this.#drop(oldest);
    }
    return true;
  }

  /** Adds a sequence and drops its prefixes. Call {@link reserve} before. */
  add(sequence: Sequence, snapshot: S): void {
    for (const entry of this.#entries) {
      if (commonPrefixLength(entry.sequence, sequence) === entry.sequence.ids.length) this.#drop(entry);
    }
    this.#entries.push({ sequence, snapshot });
  }

  /**
   * Evicts the least recently used entry, and the one in use only if there is no other.
   *
   * @returns false if there is none
   */
  evict(inUse?: S): boolean {
    const entry = this.#entries.find(({ snapshot }) => snapshot !== inUse) ?? this.#entries[0];
    if (entry) this.#drop(entry);
    return entry !== undefined;
  }

  /** Whether a snapshot was not evicted. */
  has(snapshot: S): boolean {
    return this.#entries.some((entry) => entry.snapshot === snapshot);
  }

  clear(): void {
    for (const entry of this.#entries) this.#drop(entry);
  }

  #drop(entry: PrefixEntry<S>): void {
    entry.snapshot.release();
    this.#entries = this.#entries.filter((other) => other !== entry);
  }
}
