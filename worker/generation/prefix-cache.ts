import type { Decoder } from './decoder.ts';
import { isOutOfMemory } from '../backend/kv-cache.ts';
import { PrefixEntries, type KvSnapshot, type Sequence, commonPrefixLength } from './prefix-entries.ts';

/**
 * Bytes that keys and values of earlier conversations may take, besides those of the current one. At 46 kB a position
 * (SmolVLM-256M in float32) these are 2,900 positions: two images in tiles, and what was said about them. It is half of
 * what that model's weights take, so that a device that can hold the model can hold this as well.
 */
const BUDGET_BYTES = 128 << 20;

/**
 * Fewer positions than this are neither set aside nor reused: all prompts of a chat template have their first ones in
 * common.
 */
const MIN_REUSABLE_TOKENS = 8;

const NOTHING: Sequence = { ids: new Int32Array(0), images: [] };

/** The part of a decoder that holds keys and values. */
type CachedDecoder = Pick<Decoder, 'length' | 'kv' | 'reset' | 'clear'>;

export interface PrefixCacheOptions {
  /** Most bytes that may be set aside. Default: 128 MiB. */
  budget?: number;
  /** Gives back other memory of the device, once nothing is set aside any more, and says whether that was anything. */
  evict?: () => boolean;
}

/**
 * Finds the longest beginning of a prompt that was read before, and puts the decoder behind it. The decoder holds one
 * sequence; when it turns to another, what it held is set aside, if there is room, so that a page can go back and forth
 * between conversations.
 */
export class PrefixCache {
  readonly #decoder: CachedDecoder;
  readonly #entries: PrefixEntries<KvSnapshot>;
  /** The branch that is to be read, while room is made for it. */
  #inUse: KvSnapshot | undefined;
  #prompt = NOTHING;
  /** What was drawn after the prompt. */
  #answer: number[] = [];

  constructor(holder: CachedDecoder, { budget = BUDGET_BYTES, evict: giveUp = () => false }: PrefixCacheOptions = {}) {
    this.#decoder = holder;
    this.#entries = new PrefixEntries(budget);
    holder.kv.onOutOfMemory = () => this.#entries.evict(this.#inUse) || giveUp();
  }

  /**
   * Prepares the decoder for a prompt, with room for `positions`. Where there is no memory for them, what was set aside
   * is given up, and what the decoder holds in the end.
   *
   * @param reuse false: reads it from its first token on
   * @returns how many positions need not be read; the last token is always read, for its logits
   * @throws NearsightError `context_length_exceeded` if there is no memory even then
   */
  async begin(prompt: Sequence, positions: number, reuse: boolean): Promise<number> {
    const wanted: Sequence = reuse ? { ...prompt, ids: prompt.ids.subarray(0, -1) } : NOTHING;
    const held = this.#held();
    const shared = commonPrefixLength(held, wanted);
    const kept = shared < MIN_REUSABLE_TOKENS ? 0 : shared;
    const branch = this.#entries.longest(wanted);
    const better = branch && branch.length >= MIN_REUSABLE_TOKENS && branch.length > kept ? branch : undefined;
    if (held.ids.length - kept >= MIN_REUSABLE_TOKENS) this.#snapshot(held, better?.saved);
    this.#inUse = better?.saved;
    try {
      await this.#reserve(positions, better ? 0 : kept);
    } finally {
      this.#inUse = undefined;
    }
    // It may have been given up for that room, or turn out to have found none itself.
    if (better && !better.saved.lost && this.#entries.has(better.saved))
      this.#decoder.kv.restore(better.saved, better.length);
    this.#prompt = { ...prompt, ids: prompt.ids.slice() };
    this.#answer = [];
    return this.#decoder.length;
  }

  /** An answer to the prompt begins: what was drawn for another is of no more use. */
  beginAnswer(): void {
    this.#answer = [];
  }

  /** A token was drawn. */
  append(id: number): void {
    this.#answer.push(id);
  }

  /** Leaves nothing behind of what the decoder holds. */
  drop(): void {
    this.#decoder.clear();
    this.#prompt = NOTHING;
    this.#answer = [];
  }

  /** Leaves nothing behind at all. */
  forget(): void {
    this.drop();
    this.#entries.forget();
  }

  /** How many sequences are set aside, and the bytes that they take. */
  get kept(): { count: number; bytes: number } {
    return { count: this.#entries.count, bytes: this.#entries.bytes };
  }

  /**
   * What the decoder holds: less than was asked of it, if it was interrupted. If that was within an image, what it holds
   * of that one is left out: it can never be reused.
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

  #snapshot(held: Sequence, spared: KvSnapshot | undefined): void {
    if (this.#entries.covers(held)) return;
    const { kv } = this.#decoder;
    kv.rewind(held.ids.length);
    if (this.#entries.reserve(kv.snapshotBytes, spared)) this.#entries.add(held, kv.snapshot());
  }
}
