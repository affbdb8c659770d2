import { describe, expect, test } from 'vitest';
import type { KvSnapshot, SnapshotBase } from '../../../worker/backend/kv-cache.ts';
import { PrefixCache } from '../../../worker/generation/prefix-cache.ts';
import { Block, IMAGE, sequence } from './toy-snapshots.ts';

/** A decoder that holds ids in place of keys and values, so that tests can check what is reused. */
class IdDecoder {
  ids: number[] = [];
  readonly kv = this;

  get length(): number {
    return this.ids.length;
  }

  snapshotBytes(base?: SnapshotBase): number {
    return this.ids.length - (base?.length ?? 0);
  }

  onOutOfMemory = (): boolean => false;

  async reset(_positions: number, kept = 0): Promise<void> {
    this.ids.length = kept;
  }

  rewind(length: number): void {
    this.ids.length = length;
  }

  snapshot(base?: SnapshotBase): Block {
    return new Block(Int32Array.from(this.ids), base);
  }

  restore(saved: KvSnapshot, length: number): void {
    if (!(saved instanceof Block)) throw new TypeError('not a Block');
    if (saved.released) throw new Error('A snapshot or its base was released.');
    const { base } = saved;
    if (base) this.restore(base.snapshot, Math.min(length, base.length));
    this.ids = [...this.ids.slice(0, base?.length ?? 0), ...saved.ids.subarray(base?.length ?? 0, length)];
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

  test('holds a long prompt once, for any number of questions about it', async () => {
    const decoder = new IdDecoder();
    const cache = new PrefixCache(decoder, { budget: 200 });
    const question = (at: number): number[] => [...long(1), ...long(at).slice(0, 10)];
    const asked = [2, 3, 4, 5, 6, 7, 8];
    for (const at of asked) await ask(decoder, cache, question(at));
    expect(cache.snapshots).toEqual({ count: 6, bytes: 40 + 6 * 10 });
    for (const at of asked) expect(await ask(decoder, cache, question(at))).toBe(49);
    await ask(decoder, cache, long(9));
    expect(await ask(decoder, cache, [...question(8), 1])).toBe(50);
  });

  test('bases no more than nine snapshots on each other', async () => {
    const decoder = new IdDecoder();
    const cache = new PrefixCache(decoder, { budget: 1000 });
    Block.longestChain = 0;
    let chat = long(1);
    for (let turn = 0; turn < 20; turn++) {
      expect(await ask(decoder, cache, chat)).toBe(turn === 0 ? 0 : chat.length - 10);
      await ask(decoder, cache, long(2));
      chat = [...chat, ...long(3 + turn).slice(0, 10)];
    }
    expect(Block.longestChain).toBe(8);
  });

  test('restores what was read, whatever is based on what, within the budget', async () => {
    let state = 1;
    const random = (below: number): number => (state = (state * 48271) % 2147483647) % below;
    const before = Block.alive;
    const decoder = new IdDecoder();
    const cache = new PrefixCache(decoder, { budget: 300 });
    const chats = [1, 2, 3].map(long);
    let reused = 0;
    for (let round = 0; round < 2000; round++) {
      const at = random(12);
      const chat = (chats[at] ??= [...(chats[random(chats.length)] ?? long(4))]);
      // Another branch, or the conversation goes on.
      chats[at] = [...chat.slice(0, random(4) === 0 ? 20 + random(chat.length) : 100), 1000 + random(5)];
      reused += await ask(decoder, cache, chats[at], [random(3), 1, 2]);
      const { count, bytes } = cache.snapshots;
      expect(bytes).toBeLessThanOrEqual(300);
      expect(Block.alive - before).toBe(count);
    }
    expect(reused).toBeGreaterThan(20_000);
    cache.forget();
    expect(Block.alive).toBe(before);
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
