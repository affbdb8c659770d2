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

/** A sequence of these ids, in which two image tokens, with or without text between them, are an image. */
function sequence(ids: number[], ...keys: string[]): Sequence {
  const images = keys.map((key) => imageOfValues({ key, crops: 1, tokens: 2 }, 1, new Float32Array(3)));
  return sequenceOf({ ids: Int32Array.from(ids), images }, IMAGE);
}

describe('the common prefix of two sequences', () => {
  test('ends at the first id that differs, or at the end of the shorter sequence', () => {
    expect(commonPrefixLength(sequence([1, 2, 3, 4]), sequence([1, 2, 5, 4]))).toBe(2);
    expect(commonPrefixLength(sequence([1, 2]), sequence([1, 2, 3]))).toBe(2);
    expect(commonPrefixLength(sequence([]), sequence([1]))).toBe(0);
  });

  test('includes an image only if it is the same', () => {
    const prompt = sequence([1, IMAGE, 7, IMAGE, 2, 3], 'cat');
    expect(prompt.images).toEqual([{ key: 'cat', start: 1, end: 4 }]);
    expect(commonPrefixLength(prompt, sequence([1, IMAGE, 7, IMAGE, 2, 4], 'cat'))).toBe(5);
    expect(commonPrefixLength(prompt, sequence([1, IMAGE, 7, IMAGE, 2, 4], 'dog'))).toBe(1);
  });

  test('never ends within an image', () => {
    const prompt = sequence([1, IMAGE, 7, IMAGE, 2], 'cat');
    // Interrupted after the image's first row.
    const interrupted: Sequence = { ids: prompt.ids.subarray(0, 2), images: prompt.images };
    expect(commonPrefixLength(interrupted, prompt)).toBe(1);
    expect(commonPrefixLength(prompt, interrupted)).toBe(1);
  });

  test('ends before the second image if only the first is the same', () => {
    const ids = [1, IMAGE, IMAGE, 2, IMAGE, IMAGE, 3];
    expect(commonPrefixLength(sequence(ids, 'a', 'b'), sequence(ids, 'a', 'c'))).toBe(4);
    expect(commonPrefixLength(sequence(ids, 'a', 'b'), sequence(ids, 'a', 'b'))).toBe(7);
  });
});

/** A snapshot with one byte for each position. */
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

describe('prefix entries', () => {
  const add = (entries: PrefixEntries, ids: number[]): boolean => {
    const fits = entries.reserve(ids.length);
    if (fits) entries.add(sequence(ids), new Block(Int32Array.from(ids)));
    return fits;
  };

  test('are found by the longest common prefix', () => {
    const entries = new PrefixEntries(100);
    add(entries, [1, 2, 3]);
    add(entries, [1, 2, 4, 5]);
    expect(entries.longest(sequence([1, 2, 4, 6]))).toMatchObject({ length: 3, snapshot: { bytes: 4 } });
    expect(entries.longest(sequence([2]))).toBeUndefined();
  });

  test('are replaced by the one that continues them', () => {
    const entries = new PrefixEntries(100);
    add(entries, [1, 2]);
    expect(entries.covers(sequence([1]))).toBe(true);
    add(entries, [1, 2, 3]);
    expect(entries).toMatchObject({ count: 1, bytes: 3 });
  });

  test('stay within the budget: the least recently used are evicted and released', () => {
    const before = Block.alive;
    const entries = new PrefixEntries(10);
    add(entries, [1, 1, 1, 1]);
    add(entries, [2, 2, 2, 2]);
    entries.longest(sequence([1]));
    add(entries, [3, 3, 3]);
    expect(entries.bytes).toBe(7);
    expect(entries.longest(sequence([2]))).toBeUndefined();
    expect(entries.longest(sequence([1]))?.length).toBe(1);
    expect(
      add(
        entries,
        Array.from({ length: 11 }, () => 4),
      ),
    ).toBe(false);
    expect(entries.count).toBe(2);
    entries.clear();
    expect(Block.alive).toBe(before);
  });

  test('are dropped if there was no memory for their snapshot', () => {
    const entries = new PrefixEntries(10);
    add(entries, [1, 2, 3]);
    Object.assign(entries.longest(sequence([1]))!.snapshot, { lost: true });
    expect(entries.longest(sequence([1]))).toBeUndefined();
    expect(entries.count).toBe(0);
  });

  test('are not evicted while they are to be restored', () => {
    const entries = new PrefixEntries(10);
    add(entries, [1, 1, 1, 1, 1, 1]);
    const inUse = entries.longest(sequence([1]))!.snapshot;
    expect(entries.reserve(5, inUse)).toBe(false);
    expect(entries.reserve(4, inUse)).toBe(true);
    expect(entries.count).toBe(1);
  });
});

/** A decoder that holds ids in place of keys and values, so that tests can check what is reused. */
class IdDecoder {
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
    if (!(saved instanceof Block)) throw new TypeError('not a Block');
    this.ids = [...saved.ids.subarray(0, length)];
  }

  clear(): void {
    this.ids = [];
  }
}

describe('the cache', () => {
  /** Begins a prompt, checks the reused positions, and answers. Returns how many positions were reused. */
  const ask = async (
    decoder: IdDecoder,
    cache: PrefixCache,
    prompt: number[],
    answer: number[] = [],
    reuse = true,
  ): Promise<number> => {
    const known = await cache.begin(sequence(prompt), prompt.length + answer.length, reuse);
    expect(decoder.ids).toEqual(prompt.slice(0, known));
    decoder.ids.push(...prompt.slice(known));
    cache.beginAnswer();
    for (const id of answer) cache.append(id);
    // The last sampled token is not read.
    decoder.ids.push(...answer.slice(0, -1));
    return known;
  };

  const long = (id: number): number[] => Array.from({ length: 40 }, (_, at) => id * 100 + at);

  test('continues a conversation where it ended', async () => {
    const decoder = new IdDecoder();
    const cache = new PrefixCache(decoder, { budget: 1000 });
    expect(await ask(decoder, cache, long(1), [4, 5])).toBe(0);
    expect(await ask(decoder, cache, [...long(1), 4, 5, 6], [7])).toBe(41);
    expect(await ask(decoder, cache, [...long(1), 4, 5, 6], [7])).toBe(42);
  });

  test('does not reuse a short prefix', async () => {
    const decoder = new IdDecoder();
    const cache = new PrefixCache(decoder, { budget: 1000 });
    const beginning = long(1).slice(0, 7);
    await ask(decoder, cache, [...beginning, 1]);
    expect(await ask(decoder, cache, [...beginning, 2])).toBe(0);
    expect(await ask(decoder, cache, [...beginning, 2, 3])).toBe(8);
  });

  test('switches between conversations', async () => {
    const decoder = new IdDecoder();
    const cache = new PrefixCache(decoder, { budget: 1000 });
    const [a, b] = [long(1), long(2)];
    await ask(decoder, cache, a, [1, 2]);
    await ask(decoder, cache, b, [3, 4]);
    expect(await ask(decoder, cache, [...a, 1, 2, 9], [5])).toBe(41);
    expect(await ask(decoder, cache, [...b, 3, 4, 9], [5])).toBe(41);
    expect(await ask(decoder, cache, [...a, 1, 2, 9, 5, 6], [5])).toBe(43);
    expect(cache.snapshots.bytes).toBeLessThanOrEqual(1000);
  });

  test('keeps no snapshot that does not fit in the budget', async () => {
    const decoder = new IdDecoder();
    const cache = new PrefixCache(decoder, { budget: 41 });
    await ask(decoder, cache, long(1), [1, 2]);
    await ask(decoder, cache, [...long(2), 1, 2], [3]);
    await ask(decoder, cache, long(3), []);
    expect(cache.snapshots).toEqual({ count: 1, bytes: 41 });
    expect(await ask(decoder, cache, long(1))).toBe(39);
  });

  test('reuses what was read before an interruption', async () => {
    const decoder = new IdDecoder();
    const cache = new PrefixCache(decoder, { budget: 1000 });
    await ask(decoder, cache, long(1));
    decoder.ids.length = 33;
    expect(await ask(decoder, cache, long(1))).toBe(33);
  });

  test('after interruptions within an image reuses the positions before it, in one snapshot', async () => {
    const decoder = new IdDecoder();
    const cache = new PrefixCache(decoder, { budget: 1000 });
    const prompt = [...long(1), IMAGE, 7, IMAGE, 2];
    const other = long(2);
    for (const end of [41, 42, 41]) {
      await cache.begin(sequence(prompt, 'cat'), prompt.length, true);
      decoder.ids = prompt.slice(0, end);
      await ask(decoder, cache, other);
    }
    expect(cache.snapshots).toEqual({ count: 2, bytes: 80 });
    expect(await cache.begin(sequence(prompt, 'cat'), prompt.length, true)).toBe(40);
    expect(decoder.ids).toEqual(long(1));
  });

  test('when out of memory evicts its snapshots, then other memory', async () => {
    const decoder = new IdDecoder();
    const others = [true, false];
    const cache = new PrefixCache(decoder, { budget: 1000, evict: () => others.shift() ?? false });
    for (const id of [1, 2]) await ask(decoder, cache, long(id));
    const evicted: [boolean, number, number][] = [];
    for (let at = 0; at < 3; at++) evicted.push([decoder.kv.onOutOfMemory(), cache.snapshots.count, others.length]);
    expect(evicted).toEqual([
      [true, 0, 2],
      [true, 0, 1],
      [false, 0, 0],
    ]);
  });

  test('is neither used nor filled by a request without reuse', async () => {
    const decoder = new IdDecoder();
    const cache = new PrefixCache(decoder, { budget: 1000 });
    await ask(decoder, cache, long(1));
    expect(await ask(decoder, cache, long(1), [1], false)).toBe(0);
    cache.drop();
    expect(decoder.ids).toEqual([]);
    // The snapshot of the first request is still there.
    expect(await ask(decoder, cache, long(1))).toBe(39);
    cache.forget();
    expect(await ask(decoder, cache, long(1))).toBe(0);
  });
});
