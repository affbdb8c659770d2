import { describe, expect, test } from 'vitest';
import type { KvSnapshot } from '../../../worker/backend/kv-cache.ts';
import {
  PrefixEntries,
  type Sequence,
  sequenceOf,
  commonPrefixLength,
} from '../../../worker/generation/prefix-entries.ts';
import { PrefixCache } from '../../../worker/generation/prefix-cache.ts';
import { imageOfValues } from '../engines/test-images.ts';

const IMAGE = 99;

/** A sequence of these ids, in which each run of image tokens but the marks of tiles is an image of two rows. */
function sequence(ids: number[], ...keys: string[]): Sequence {
  const images = keys.map((key) => imageOfValues({ key, crops: 1, tokens: 2 }, 1, new Float32Array(3)));
  return sequenceOf({ ids: Int32Array.from(ids), images }, IMAGE);
}

describe('the shared beginning of two sequences', () => {
  test('ends at the first id that differs, or with the shorter one', () => {
    expect(commonPrefixLength(sequence([1, 2, 3, 4]), sequence([1, 2, 5, 4]))).toBe(2);
    expect(commonPrefixLength(sequence([1, 2]), sequence([1, 2, 3]))).toBe(2);
    expect(commonPrefixLength(sequence([]), sequence([1]))).toBe(0);
  });

  test('goes through an image only if it is the same one', () => {
    const asked = sequence([1, IMAGE, 7, IMAGE, 2, 3], 'cat');
    expect(asked.images).toEqual([{ key: 'cat', start: 1, end: 4 }]);
    expect(commonPrefixLength(asked, sequence([1, IMAGE, 7, IMAGE, 2, 4], 'cat'))).toBe(5);
    expect(commonPrefixLength(asked, sequence([1, IMAGE, 7, IMAGE, 2, 4], 'dog'))).toBe(1);
  });

  test('never ends within an image', () => {
    const asked = sequence([1, IMAGE, 7, IMAGE, 2], 'cat');
    // Interrupted after the first of its rows.
    const interrupted: Sequence = { ids: asked.ids.subarray(0, 2), images: asked.images };
    expect(commonPrefixLength(interrupted, asked)).toBe(1);
    expect(commonPrefixLength(asked, interrupted)).toBe(1);
  });

  test('stops at the second image if only the first is the same', () => {
    const ids = [1, IMAGE, IMAGE, 2, IMAGE, IMAGE, 3];
    expect(commonPrefixLength(sequence(ids, 'a', 'b'), sequence(ids, 'a', 'c'))).toBe(4);
    expect(commonPrefixLength(sequence(ids, 'a', 'b'), sequence(ids, 'a', 'b'))).toBe(7);
  });
});

/** As many bytes as positions. */
class Block implements KvSnapshot {
  lost = false;
  static alive = 0;
  readonly bytes: number;
  readonly ids: Int32Array;

  constructor(ids: Int32Array) {
    Block.alive++;
    this.ids = ids;
    this.bytes = ids.length;
  }

  release(): void {
    Block.alive--;
  }
}

describe('branches', () => {
  const add = (branches: PrefixEntries<Block>, ids: number[]): boolean => {
    const fits = branches.reserve(ids.length);
    if (fits) branches.add(sequence(ids), new Block(Int32Array.from(ids)));
    return fits;
  };

  test('are found by their longest shared beginning', () => {
    const branches = new PrefixEntries<Block>(100);
    add(branches, [1, 2, 3]);
    add(branches, [1, 2, 4, 5]);
    expect(branches.longest(sequence([1, 2, 4, 6]))).toMatchObject({ length: 3, snapshot: { bytes: 4 } });
    expect(branches.longest(sequence([2]))).toBeUndefined();
  });

  test('give way to the one that continues them', () => {
    const branches = new PrefixEntries<Block>(100);
    add(branches, [1, 2]);
    expect(branches.covers(sequence([1]))).toBe(true);
    add(branches, [1, 2, 3]);
    expect(branches).toMatchObject({ count: 1, bytes: 3 });
  });

  test('stay within the budget: the least recently used go, and are released', () => {
    const before = Block.alive;
    const branches = new PrefixEntries<Block>(10);
    add(branches, [1, 1, 1, 1]);
    add(branches, [2, 2, 2, 2]);
    branches.longest(sequence([1]));
    add(branches, [3, 3, 3]);
    expect(branches.bytes).toBe(7);
    expect(branches.longest(sequence([2]))).toBeUndefined();
    expect(branches.longest(sequence([1]))?.length).toBe(1);
    expect(
      add(
        branches,
        Array.from({ length: 11 }, () => 4),
      ),
    ).toBe(false);
    expect(branches.count).toBe(2);
    branches.clear();
    expect(Block.alive).toBe(before);
  });

  test('are left alone if there was no memory for them', () => {
    const branches = new PrefixEntries<Block>(10);
    add(branches, [1, 2, 3]);
    branches.longest(sequence([1]))!.snapshot.lost = true;
    expect(branches.longest(sequence([1]))).toBeUndefined();
    expect(branches.count).toBe(0);
  });

  test('spare the one that is about to be read', () => {
    const branches = new PrefixEntries<Block>(10);
    add(branches, [1, 1, 1, 1, 1, 1]);
    const spared = branches.longest(sequence([1]))!.snapshot;
    expect(branches.reserve(5, spared)).toBe(false);
    expect(branches.reserve(4, spared)).toBe(true);
    expect(branches.count).toBe(1);
  });
});

/** Holds ids in place of keys and values, so that what is reused can be compared with what should be there. */
class Ids {
  ids: number[] = [];
  readonly kv = this;

  get length(): number {
    return this.ids.length;
  }

  get snapshotBytes(): number {
    return this.ids.length;
  }

  onOutOfMemory = (): boolean => false;

  async reset(_positions: number, kept = 0): Promise<void> {
    this.ids.length = kept;
  }

  rewind(length: number): void {
    this.ids.length = length;
  }

  snapshot(): Block {
    return new Block(Int32Array.from(this.ids));
  }

  restore(saved: KvSnapshot, length: number): void {
    if (!(saved instanceof Block)) throw new TypeError('not mine');
    this.ids = [...saved.ids.subarray(0, length)];
  }

  clear(): void {
    this.ids = [];
  }
}

describe('the cache', () => {
  /** Asks, answers, and checks that what was reused is what would have been read. Returns how much that was. */
  const ask = async (
    holder: Ids,
    cache: PrefixCache,
    prompt: number[],
    answer: number[] = [],
    reuse = true,
  ): Promise<number> => {
    const known = await cache.begin(sequence(prompt), prompt.length + answer.length, reuse);
    expect(holder.ids).toEqual(prompt.slice(0, known));
    holder.ids.push(...prompt.slice(known));
    cache.beginAnswer();
    for (const id of answer) cache.append(id);
    // The last token drawn is not read.
    holder.ids.push(...answer.slice(0, -1));
    return known;
  };

  const long = (id: number): number[] => Array.from({ length: 40 }, (_, at) => id * 100 + at);

  test('continues a conversation where it ended', async () => {
    const holder = new Ids();
    const cache = new PrefixCache(holder, { budget: 1000 });
    expect(await ask(holder, cache, long(1), [4, 5])).toBe(0);
    expect(await ask(holder, cache, [...long(1), 4, 5, 6], [7])).toBe(41);
    expect(await ask(holder, cache, [...long(1), 4, 5, 6], [7])).toBe(42);
  });

  test('reads a short beginning again', async () => {
    const holder = new Ids();
    const cache = new PrefixCache(holder, { budget: 1000 });
    const beginning = long(1).slice(0, 7);
    await ask(holder, cache, [...beginning, 1]);
    expect(await ask(holder, cache, [...beginning, 2])).toBe(0);
    expect(await ask(holder, cache, [...beginning, 2, 3])).toBe(8);
  });

  test('goes back and forth between conversations', async () => {
    const holder = new Ids();
    const cache = new PrefixCache(holder, { budget: 1000 });
    const [a, b] = [long(1), long(2)];
    await ask(holder, cache, a, [1, 2]);
    await ask(holder, cache, b, [3, 4]);
    expect(await ask(holder, cache, [...a, 1, 2, 9], [5])).toBe(41);
    expect(await ask(holder, cache, [...b, 3, 4, 9], [5])).toBe(41);
    expect(await ask(holder, cache, [...a, 1, 2, 9, 5, 6], [5])).toBe(43);
    expect(cache.snapshots.bytes).toBeLessThanOrEqual(1000);
  });

  test('does without what does not fit in the budget', async () => {
    const holder = new Ids();
    const cache = new PrefixCache(holder, { budget: 41 });
    await ask(holder, cache, long(1), [1, 2]);
    await ask(holder, cache, [...long(2), 1, 2], [3]);
    await ask(holder, cache, long(3), []);
    expect(cache.snapshots).toEqual({ count: 1, bytes: 41 });
    expect(await ask(holder, cache, long(1))).toBe(39);
  });

  test('after an interruption keeps what was read', async () => {
    const holder = new Ids();
    const cache = new PrefixCache(holder, { budget: 1000 });
    await ask(holder, cache, long(1));
    holder.ids.length = 33;
    expect(await ask(holder, cache, long(1))).toBe(33);
  });

  test('after interruptions within an image keeps what stood before it, once', async () => {
    const holder = new Ids();
    const cache = new PrefixCache(holder, { budget: 1000 });
    const asked = [...long(1), IMAGE, 7, IMAGE, 2];
    const other = long(2);
    for (const end of [41, 42, 41]) {
      await cache.begin(sequence(asked, 'cat'), asked.length, true);
      holder.ids = asked.slice(0, end);
      await ask(holder, cache, other);
    }
    expect(cache.snapshots).toEqual({ count: 2, bytes: 80 });
    expect(await cache.begin(sequence(asked, 'cat'), asked.length, true)).toBe(40);
    expect(holder.ids).toEqual(long(1));
  });

  test('where memory is short gives up what was set aside, then what else there is', async () => {
    const holder = new Ids();
    const others = [true, false];
    const cache = new PrefixCache(holder, { budget: 1000, evict: () => others.shift() ?? false });
    for (const id of [1, 2]) await ask(holder, cache, long(id));
    const gaveUp: [boolean, number, number][] = [];
    for (let at = 0; at < 3; at++) gaveUp.push([holder.kv.onOutOfMemory(), cache.snapshots.count, others.length]);
    expect(gaveUp).toEqual([
      [true, 0, 2],
      [true, 0, 1],
      [false, 0, 0],
    ]);
  });

  test('is neither used nor filled by a request that wants none', async () => {
    const holder = new Ids();
    const cache = new PrefixCache(holder, { budget: 1000 });
    await ask(holder, cache, long(1));
    expect(await ask(holder, cache, long(1), [1], false)).toBe(0);
    cache.drop();
    expect(holder.ids).toEqual([]);
    // What the first request left is still there.
    expect(await ask(holder, cache, long(1))).toBe(39);
    cache.forget();
    expect(await ask(holder, cache, long(1))).toBe(0);
  });
});
