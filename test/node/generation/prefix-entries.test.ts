import { describe, expect, test } from 'vitest';
import { PrefixEntries, type Sequence, commonPrefixLength } from '../../../worker/generation/prefix-entries.ts';
import { Block, IMAGE, sequence } from './toy-snapshots.ts';

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
    const inUse = [entries.longest(sequence([1]))!.snapshot];
    expect(entries.reserve(5, inUse)).toBe(false);
    expect(entries.reserve(4, inUse)).toBe(true);
    expect(entries.count).toBe(1);
  });

  test('that others are based on stay as long as these, however long they were not used', () => {
    const entries = new PrefixEntries(14);
    add(entries, [1, 1, 1, 1, 1, 1]);
    const based = sequence([1, 1, 1, 1, 2, 2]);
    const base = entries.baseOf(based, 4);
    expect(base).toMatchObject({ length: 4, snapshot: { bytes: 6 } });
    expect(entries.baseOf(based, 5)).toBeUndefined();
    entries.add(based, new Block(based.ids, base));
    expect(entries.bytes).toBe(8);
    add(entries, [3, 3, 3, 3, 3, 3]);
    expect(entries.count).toBe(3);
    // Of three, the one least recently used that nothing is based on.
    add(entries, [4, 4]);
    expect([1, 2, 3, 4].map((id) => entries.longest(sequence([1, 1, 1, 1, id]))?.length)).toEqual([5, 4, 4, 4]);
    expect(entries.bytes).toBe(14);
    expect(entries.baseOf(sequence([3, 3, 3, 1]), 3)).toMatchObject({ length: 3 });
    // Within what another is based on: only if that shares enough.
    expect(entries.baseOf(sequence([1, 1, 1]), 1)).toMatchObject({ length: 3, snapshot: { bytes: 6 } });
    expect(entries.baseOf(sequence([1, 1]), 1)).toBeUndefined();
    // It would keep more than what is shared.
    expect(entries.baseOf(sequence([3, 3, 1]), 1)).toBeUndefined();
  });
});
