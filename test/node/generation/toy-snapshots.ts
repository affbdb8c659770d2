import { expect } from 'vitest';
import type { KvSnapshot, SnapshotBase } from '../../../worker/backend/kv-cache.ts';
import { type Sequence, sequenceOf } from '../../../worker/generation/prefix-entries.ts';
import { imageOfValues } from '../engines/test-images.ts';

/** An image token. */
export const IMAGE = 99;

/** A sequence of these ids, in which two image tokens, with or without text between them, are an image. */
export function sequence(ids: number[], ...keys: string[]): Sequence {
  const images = keys.map((key) => imageOfValues({ key, crops: 1, tokens: 2 }, 1, new Float32Array(3)));
  return sequenceOf({ ids: Int32Array.from(ids), images }, IMAGE);
}

/** A snapshot with one byte for each position. */
export class Block implements KvSnapshot {
  lost = false;
  static alive = 0;
  /** Of snapshots, each based on the one before. */
  static longestChain = 0;
  readonly bytes: number;
  readonly ids: Int32Array;
  readonly base: SnapshotBase | undefined;

  constructor(ids: Int32Array, base?: SnapshotBase) {
    Block.alive++;
    this.ids = ids;
    this.base = base;
    Block.longestChain = Math.max(Block.longestChain, this.#bases);
    this.bytes = ids.length - (base?.length ?? 0);
  }

  get #bases(): number {
    return this.base?.snapshot instanceof Block ? 1 + this.base.snapshot.#bases : 0;
  }

  released = false;

  release(): void {
    Block.alive--;
    expect(this.released).toBe(false);
    this.released = true;
  }
}
