import { isOutOfMemory, type KvSnapshot, type SnapshotBase } from '../backend/kv-cache.ts';
import type { Decoder } from './decoder.ts';
import { PrefixEntries, type Sequence, commonPrefixLength } from './prefix-entries.ts';

/**
 * Memory budget for snapshots of earlier conversations. At 46 kB a position (SmolVLM-256M in float32) it holds 2,900
 * positions: two split images and a conversation about them. It is half the size of that model's weights, so a device
 * that can hold the model can hold the snapshots as well.
 */
const BUDGET_BYTES = 128 << 20;

/**
 * Shorter prefixes are neither kept nor reused: all prompts of a chat template have the first tokens in common.
 */
const MIN_REUSABLE_TOKENS = 8;

const EMPTY: Sequence = { ids: new Int32Array(0), images: [] };

/** The part of a decoder that holds keys and values. */
type CachedDecoder = Pick<Decoder, 'length' | 'kv' | 'reset' | 'clear'>;

export interface PrefixCacheOptions {
  /** Maximum bytes of all snapshots. Default: 128 MiB. */
  budget?: number;
  /** Frees other memory of the device, once no snapshot is left. Returns whether it freed any. */
  evict?: () => boolean;
}

/**
 * Finds the longest prefix of a prompt that was read before, and moves the decoder to its end. The decoder holds one
 * sequence. Before it reads another, the cache takes a snapshot within the budget, so that a page can switch between
 * conversations.
 */
export class PrefixCache {
  readonly #decoder: CachedDecoder;
  readonly #entries: PrefixEntries;
  /** The snapshot that is to be restored, while memory is reserved for it. */
  #inUse: KvSnapshot | undefined;
  #prompt = EMPTY;
  /** Tokens sampled after the prompt. */
  #answer: number[] = [];

  constructor(decoder: CachedDecoder, { budget = BUDGET_BYTES, evict = () => false }: PrefixCacheOptions = {}) {
    this.#decoder = decoder;
    this.#entries = new PrefixEntries(budget);
    decoder.kv.onOutOfMemory = () => this.#entries.evict(this.#inUse && [this.#inUse]) || evict();
  }

  /**
   * Prepares the decoder for a prompt and reserves memory for `positions`. If memory runs out, it evicts snapshots, and
   * at last the positions that the decoder holds.
   *
   * @param reuse false: nothing of the prompt is reused
   * @returns how many positions need not be read; the last token is always read, for its logits
   * @throws NearsightError `context_length_exceeded` if there is not enough memory even then
   */
  async begin(prompt: Sequence, positions: number, reuse: boolean): Promise<number> {
    const reusable: Sequence = reuse ? { ...prompt, ids: prompt.ids.subarray(0, -1) } : EMPTY;
    const held = this.#held();
    const shared = commonPrefixLength(held, reusable);
    const reachable = this.#decoder.kv.reachable?.(shared) ?? shared;
    const kept = reachable < MIN_REUSABLE_TOKENS ? 0 : reachable;
    const entry = this.#entries.longest(reusable);
    const better = entry && entry.length >= MIN_REUSABLE_TOKENS && entry.length > kept ? entry : undefined;
    if (held.ids.length - kept >= MIN_REUSABLE_TOKENS) this.#snapshot(held, better?.snapshot);
    this.#inUse = better?.snapshot;
    try {
      await this.#reserve(positions, better ? 0 : kept);
    } finally {
      this.#inUse = undefined;
    }
    // The snapshot may have been evicted by now, or its own copy may have run out of memory.
    if (better && !better.snapshot.lost && this.#entries.has(better.snapshot))
      this.#decoder.kv.restore(better.snapshot, better.length);
    this.#prompt = { ...prompt, ids: prompt.ids.slice() };
    this.#answer = [];
    return this.#decoder.length;
  }

  /** Starts an answer to the prompt and forgets the tokens of the previous one. */
  beginAnswer(): void {
    this.#answer = [];
  }

  /** Adds a sampled token to the answer. */
  append(id: number): void {
    this.#answer.push(id);
  }

  /** Erases what the decoder holds. */
  drop(): void {
    this.#decoder.clear();
    this.#prompt = EMPTY;
    this.#answer = [];
  }

  /** Erases what the decoder holds, and all snapshots. */
  forget(): void {
    this.drop();
    this.#entries.clear();
  }

  /** Number of snapshots, and their bytes. */
  get snapshots(): { count: number; bytes: number } {
    return { count: this.#entries.count, bytes: this.#entries.bytes };
  }

  /**
   * The sequence that the decoder holds: shorter than prompt and answer if it was interrupted. An image that was
   * interrupted is left out, because it cannot be reused.
   */
  #held(): Sequence {
    const { ids, images } = this.#prompt;
    const all = new Int32Array(ids.length + this.#answer.length);
    all.set(ids);
    all.set(this.#answer, ids.length);
    const { length } = this.#decoder;
    const unfinished = images.find(({ start, end }) => start < length && length < end);
    return { ids: all.subarray(0, unfinished?.start ?? length), images };
  }

  async #reserve(positions: number, kept: number): Promise<void> {
    try {
      await this.#decoder.reset(positions, kept);
    } catch (error) {
      if (kept === 0 || !isOutOfMemory(error)) throw error;
      await this.#decoder.reset(positions);
    }
  }

  #snapshot(held: Sequence, inUse: KvSnapshot | undefined): void {
    if (this.#entries.covers(held)) return;
    const { kv } = this.#decoder;
    kv.rewind(held.ids.length);
    const { length } = this.#decoder;
    if (length < MIN_REUSABLE_TOKENS) return;
    const fits = (base?: SnapshotBase): boolean =>
      this.#entries.reserve(
        kv.snapshotBytes(base),
        [inUse, base?.snapshot].filter((each) => each !== undefined),
      );
    let base = this.#entries.baseOf(held, MIN_REUSABLE_TOKENS);
    if (base && !fits(base)) base = undefined;
    if (!base && !fits()) return;
    this.#entries.add({ ...held, ids: held.ids.subarray(0, length) }, kv.snapshot(base));
  }
}
