import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { PrefixCache } from '../../../worker/generation/prefix-cache.ts';
import type { Sequence } from '../../../worker/generation/prefix-entries.ts';
import { CheckpointedCache } from '../../../worker/engines/transformers/checkpointed-cache.ts';
import type { TransformersKit } from '../../../worker/engines/transformers/kit.ts';
import { loadOrt, type Ort, type Tensor } from '../../../worker/onnx/ort.ts';
import type { Port, Tensors } from '../../../worker/onnx/ort-session.ts';
import { CpuMemory } from '../../../worker/wasm/cpu-memory.ts';
import { packagedOrt } from './packaged-ort.ts';

const HEADS = 2;
const WIDTH = 3;

let ort: Ort;
let alive: Set<Tensor>;

beforeAll(async () => {
  ort = await loadOrt('wasm', packagedOrt());
});

beforeEach(() => {
  alive = new Set();
});

/** A cache of a decoder that has keys, and a state or not. */
function openCache(withState: boolean): CheckpointedCache {
  const port = (...shape: (number | string)[]): Port => ({ type: 'float32', shape });
  const keys = port('batch', HEADS, 'past', WIDTH);
  const state = port('batch', 4);
  const inputs = new Map([['past_key_values.0.key', keys], ...(withState ? [['past_conv.1', state] as const] : [])]);
  const outputs = new Map([['present.0.key', keys], ...(withState ? [['present_conv.1', state] as const] : [])]);
  const release = (tensor: Tensor): void => {
    expect(alive.delete(tensor)).toBe(true);
  };
  const track = (tensor: Tensor): void => void alive.add(tensor);
  const sessions = { decoder: { inputs, outputs } };
  const kit = { ort, sessions, memory: new CpuMemory(ort), track, release, device: undefined };
  return new CheckpointedCache(kit as unknown as TransformersKit);
}

/** Keys say which position of which head they are of; the state says how many positions there are. */
function read(cache: CheckpointedCache, count: number): void {
  const length = cache.length + count;
  const values = Array.from({ length: HEADS * length * WIDTH }, (_, at) => {
    const row = Math.floor(at / WIDTH);
    return Math.floor(row / length) * 1000 + (row % length);
  });
  const outputs: Tensors = {
    'present.0.key': new ort.Tensor('float32', Float32Array.from(values), [1, HEADS, length, WIDTH]),
    'present_conv.1': new ort.Tensor('float32', new Float32Array(4).fill(length), [1, 4]),
  };
  if (!cache.hasStates) delete outputs['present_conv.1'];
  Object.values(outputs).forEach((tensor) => alive.add(tensor));
  cache.advance(count, outputs);
}

function expectPositions(cache: CheckpointedCache, length: number): void {
  expect(cache.length).toBe(length);
  const floats = (name: string): number[] => Array.from(cache.feeds()[name]?.data as Float32Array);
  const rows = Array.from({ length: HEADS * length }, (_, row) => Math.floor(row / length) * 1000 + (row % length));
  expect(cache.feeds()['past_key_values.0.key']?.dims).toEqual([1, HEADS, length, WIDTH]);
  expect(floats('past_key_values.0.key')).toEqual(rows.flatMap((value) => [value, value, value]));
  if (cache.hasStates) expect(floats('past_conv.1')).toEqual([length, length, length, length]);
}

describe('keys and values alone', () => {
  test('are cut anywhere', () => {
    const cache = openCache(false);
    read(cache, 5);
    read(cache, 2);
    expect(cache.reachable(6)).toBe(6);
    cache.rewind(3);
    expectPositions(cache, 3);
    read(cache, 1);
    expectPositions(cache, 4);
  });
});

describe('with states', () => {
  test('a cache goes back to checkpoints only', () => {
    const cache = openCache(true);
    expectPositions(cache, 0);
    read(cache, 5);
    cache.checkpoint();
    read(cache, 4);
    cache.checkpoint();
    read(cache, 3);
    expect([4, 5, 8, 9, 11, 12, 13].map((length) => cache.reachable(length))).toEqual([0, 5, 5, 9, 9, 12, 12]);
    cache.rewind(11);
    expectPositions(cache, 9);
    cache.rewind(8);
    expectPositions(cache, 5);
    read(cache, 1);
    expectPositions(cache, 6);
    expect(cache.reachable(9)).toBe(6);
  });

  test('a snapshot has the checkpoints, and outlives the cache’s own', () => {
    const cache = openCache(true);
    read(cache, 5);
    cache.checkpoint();
    read(cache, 4);
    const snapshot = cache.snapshot();
    cache.clear();
    read(cache, 2);
    expect(snapshot.reachable?.(8)).toBe(5);
    cache.restore(snapshot, 8);
    expectPositions(cache, 5);
    cache.restore(snapshot, 9);
    expectPositions(cache, 9);
    snapshot.release();
    expectPositions(cache, 9);
  });

  test('a bounded number of checkpoints is kept, the first among them', () => {
    const cache = openCache(true);
    for (let count = 0; count < 10; count++) {
      read(cache, 10);
      cache.checkpoint();
    }
    expect([15, 75, 85, 95].map((length) => cache.reachable(length))).toEqual([10, 10, 80, 90]);
    // Keys, and the states of each checkpoint.
    expect(alive.size).toBe(5);
  });
});

test.each([false, true])('every tensor is released once, with states: %s', (withState) => {
  const cache = openCache(withState);
  expectPositions(cache, 0);
  read(cache, 5);
  cache.checkpoint();
  const first = cache.snapshot();
  read(cache, 4);
  cache.checkpoint();
  const second = cache.snapshot();
  cache.rewind(5);
  read(cache, 1);
  cache.restore(second, 9);
  cache.restore(first, 5);
  cache.clear();
  first.release();
  expect(alive.size).toBe(withState ? 3 : 1);
  second.release();
  expect(alive.size).toBe(0);
});

test('the prefix cache reuses a conversation up to a checkpoint, in the cache and in a snapshot', async () => {
  const cache = openCache(true);
  const decoder = {
    kv: cache,
    get length() {
      return cache.length;
    },
    reset: async (_positions: number, kept = 0) => cache.rewind(kept),
    clear: () => cache.clear(),
  };
  const prefixes = new PrefixCache(decoder);
  const sequence = (...ids: number[]): Sequence => ({ ids: Int32Array.from(ids), images: [] });
  const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, at) => from + at);
  const ask = async (ids: number[]): Promise<number> => {
    const cached = await prefixes.begin(sequence(...ids), ids.length + 8, true);
    expectPositionsOrNothing(cached);
    if (cached < 20 && ids.length > 20) {
      read(cache, 20 - cached);
      cache.checkpoint();
    }
    read(cache, ids.length - cache.length);
    cache.checkpoint();
    return cached;
  };
  const expectPositionsOrNothing = (cached: number): void => {
    if (cached > 0) expectPositions(cache, cached);
  };
  const first = range(0, 30);
  expect(await ask(first)).toBe(0);
  // It shares 25 positions: back to the checkpoint at 20.
  expect(await ask([...range(0, 25), 99, 98])).toBe(20);
  expect(await ask(range(100, 140))).toBe(0);
  expect(await ask([...range(0, 22), 7])).toBe(20);
  // Nothing shorter than a checkpoint can be reused.
  expect(await ask([...range(0, 15), 7, 8, 9, 10, 11, 12, 13, 14])).toBe(0);
});
