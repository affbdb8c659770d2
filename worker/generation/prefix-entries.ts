import type { Prompt } from '../families/processor.ts';

/** What keys and values were computed from: token ids, and the images whose features stand at their place-holders. */
export interface Sequence {
  ids: Int32Array;
  /** In order; `start` is the position of an image's first feature row, `end` that after its last. */
  images: readonly { key: string; start: number; end: number }[];
}

/** Where a prompt's images stand. Between the rows of one there may be text: the marks of its tiles. */
export function sequenceOf({ ids, images }: Prompt, imageTokenId: number): Sequence {
  const places = ids.reduce<number[]>((found, id, at) => {
    if (id === imageTokenId) found.push(at);
    return found;
  }, []);
  let row = 0;
  const placed = images.map(({ key, tokens }) => {
    const start = places[row] ?? ids.length;
    row += tokens;
    return { key, start, end: (places[row - 1] ?? ids.length) + 1 };
  });
  return { ids, images: placed };
}

/** How many positions two sequences have in common at their beginning. Images are shared whole or not at all. */
export function commonPrefixLength(a: Sequence, b: Sequence): number {
  const most = Math.min(a.ids.length, b.ids.length);
  let length = 0;
  while (length < most && a.ids[length] === b.ids[length]) length++;
  for (const [index, image] of a.images.entries()) {
    if (image.start >= length) break;
    if (b.images[index]?.key !== image.key || image.end > length) return image.start;
  }
  return length;
}

/** Keys and values that were set aside. */
export interface KvSnapshot {
  readonly bytes: number;
  /** True once it is known that there was no memory for it after all. */
  readonly lost: boolean;
  release(): void;
}

interface PrefixEntry<S> {
  sequence: Sequence;
  saved: S;
}

/** Sequences whose keys and values were set aside, within a budget of bytes; the least recently used go first. */
export class PrefixEntries<S extends KvSnapshot> {
  readonly #budget: number;
  /** The least recently used first. */
  #entries: PrefixEntry<S>[] = [];

  constructor(budget: number) {
    this.#budget = budget;
  }

  get bytes(): number {
    return this.#entries.reduce((sum, { saved }) => sum + saved.bytes, 0);
  }

  get count(): number {
    return this.#entries.length;
  }

  /** The branch that shares the longest beginning with a sequence, and its length. It counts as used. */
  longest(sequence: Sequence): { saved: S; length: number } | undefined {
    let best: { branch: PrefixEntry<S>; length: number } | undefined;
    for (const branch of this.#entries) {
      if (branch.saved.lost) this.#drop(branch);
    }
    for (const branch of this.#entries) {
      const length = commonPrefixLength(branch.sequence, sequence);
      if (length > (best?.length ?? 0)) best = { branch, length };
    }
    if (!best) return undefined;
    const { branch, length } = best;
    this.#entries = [...this.#entries.filter((each) => each !== branch), branch];
    return { saved: branch.saved, length };
  }

  /** Whether a sequence is the beginning of one that is kept. */
  covers(sequence: Sequence): boolean {
    return this.#entries.some((branch) => commonPrefixLength(branch.sequence, sequence) === sequence.ids.length);
  }

  /**
   * Makes room for `bytes`, sparing the branch that is about to be read.
   *
   * @returns false if there cannot be so much
   */
  reserve(bytes: number, spared?: S): boolean {
    if (bytes + (spared?.bytes ?? 0) > this.#budget) return false;
    while (this.bytes + bytes > this.#budget) {
      const oldest = this.#entries.find(({ saved }) => saved !== spared);
      if (oldest) this.#drop(oldest);
    }
    return true;
  }

  /** Keeps a sequence, in place of those that are its beginnings. Call {@link reservePositions} before. */
  add(sequence: Sequence, saved: S): void {
    for (const branch of this.#entries) {
      if (commonPrefixLength(branch.sequence, sequence) === branch.sequence.ids.length) this.#drop(branch);
    }
    this.#entries.push({ sequence, saved });
  }

  /**
   * Gives up the least recently used branch, and the spared one only if there is no other.
   *
   * @returns false if there was none
   */
  evict(spared?: S): boolean {
    const branch = this.#entries.find(({ saved }) => saved !== spared) ?? this.#entries[0];
    if (branch) this.#drop(branch);
    return branch !== undefined;
  }

  /** Whether this is still kept. */
  has(saved: S): boolean {
    return this.#entries.some((branch) => branch.saved === saved);
  }

  forget(): void {
    for (const branch of this.#entries) this.#drop(branch);
  }

  #drop(branch: PrefixEntry<S>): void {
    branch.saved.release();
    this.#entries = this.#entries.filter((each) => each !== branch);
  }
}
