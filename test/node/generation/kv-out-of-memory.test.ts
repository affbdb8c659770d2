// size: one suite, which runs on three decoders.

import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import type { Decoder, SamplingRequest } from '../../../worker/generation/decoder.ts';
import { PrefixCache } from '../../../worker/generation/prefix-cache.ts';
import { selfTestDecoder } from '../../../worker/self-test/decoder-self-test.ts';
import { replayFailure } from '../../../worker/self-test/replay-self-test.ts';
import type { Gpu } from '../../../worker/webgpu/gpu-device.ts';
import { loadOrt, type Ort } from '../../../worker/onnx/ort.ts';
import { toyDecoder, toyEmbed } from '../onnx/toy-graphs.ts';
import { limitMemory, type MemoryLimit } from '../engines/memory-limit.ts';
import { nativeDecoder } from '../engines/native.ts';
import { assets, GREEDY, openGpu } from '../engines/dawn-engine.ts';
import { openToy, POSITIONS, PROMPT, take, type Toy } from './toy-decoder.ts';

const { signal } = new AbortController();
/** Capacity is a multiple of this number of positions. */
const BLOCK = 256;

const FILES = {
  decoder: toyDecoder({ rotary: 'input', allRows: true, positions: POSITIONS }),
  embed: toyEmbed('float32'),
};

/** Ids of the toy's vocabulary. */
const chat = (first: number, length = PROMPT.length): Int32Array<ArrayBuffer> =>
  Int32Array.from({ length }, (_, at) => (at * 7 + first) % 24);

/** So much of the first block that an answer outgrows it after 8 tokens: steps are slow on a software adapter. */
const LONG = BLOCK - 8;

/** Tokens of an answer. */
const LIMIT = 20;

const SAMPLED = { ...GREEDY, temperature: 0.9, topP: 0.95, repetitionPenalty: 1.1 };

let ort: Ort;
let gpu: Gpu;

beforeAll(async () => {
  gpu = await openGpu();
  ort = await loadOrt('webgpu', assets.ort);
});

afterAll(() => gpu.close());

afterEach(() => {
  vi.restoreAllMocks();
});

const onGpu = (kind: 'pipelined' | 'stepwise' | 'transformers'): void => {
  // Grows twice, or once where steps are slow.
  const limit = kind === 'pipelined' ? BLOCK + LIMIT : LIMIT;
  let toy: Toy;
  let decoder: Decoder;

  beforeAll(async () => {
    toy = await openToy(ort, gpu, FILES, kind);
    decoder = toy.decoder;
  }, 120_000);

  afterAll(() => toy.close());

  /** Answers a prompt with an empty cache, and reserves memory for so many positions at first. */
  async function answer(
    positions: number,
    changes: Partial<SamplingRequest>,
    prompt = PROMPT,
  ): Promise<{ ids: number[]; logits: Float32Array }> {
    decoder.clear();
    await decoder.reset(positions);
    await decoder.prefill(prompt, -1, [], signal);
    return { ids: await take(decoder, { prompt, ...changes }), logits: await decoder.logits() };
  }

  test('gives the ids of native onnxruntime on the unmodified files', async () => {
    const native = await nativeDecoder(FILES.embed, FILES.decoder);
    const expected = (await native.answer(PROMPT, 40)).map(({ id }) => id);
    expect(new Set(expected).size).toBeGreaterThan(2);
    expect((await answer(PROMPT.length + 40, {})).ids).toEqual(expected);
  });

  test.each([
    ['greedy', GREEDY],
    ['sampled', SAMPLED],
  ])(
    'an answer that outgrows its reservation is the same as one with enough memory reserved: %s',
    { tags: ['long'] },
    async (_, sampling) => {
      const prompt = chat(3, LONG);
      const expected = await answer(LONG + limit, { sampling, limit }, prompt);
      const made = vi.spyOn(GPUDevice.prototype, 'createBuffer');
      const sizes = (): Set<number> =>
        new Set(
          made.mock.calls.filter(([{ label }]) => /^past.*\.(key|value)$/.test(label ?? '')).map(([{ size }]) => size),
        );
      const { ids, logits } = await answer(LONG, { sampling, limit }, prompt);
      const [first = 0, ...larger] = sizes();
      expect(larger).toEqual(kind === 'pipelined' ? [2 * first, 4 * first] : [2 * first]);
      expect(ids).toHaveLength(limit);
      expect(new Set(ids).size).toBeGreaterThan(2);
      expect(ids).toEqual(expected.ids);
      expect(logits).toEqual(expected.logits);
      expect(gpu.fault.aborted).toBe(false);
    },
  );

  describe.runIf(kind !== 'stepwise')('when out of memory', () => {
    /** The second engine's graphs do not write in place: they read one set of buffers and write another. */
    const sets = kind === 'transformers' ? 2 : 1;
    /** Bytes of the smallest reservation. */
    let block: number;
    let memory: MemoryLimit;
    let cache: PrefixCache;

    beforeAll(async () => {
      decoder.clear();
      await decoder.reset(BLOCK);
      await decoder.prefill(PROMPT, -1, [], signal);
      block = sets * (decoder.kv.snapshotBytes() / PROMPT.length) * BLOCK;
      decoder.clear();
      memory = limitMemory();
      cache = new PrefixCache(decoder);
      return () => memory.lift();
    });

    /** Reads a prompt with memory reserved for so many positions. Returns how many of the prompt were reused. */
    async function read(ids: Int32Array, positions = ids.length): Promise<number> {
      const known = await cache.begin({ ids, images: [] }, positions, true);
      await decoder.prefill(ids.subarray(known), -1, [], signal);
      return known;
    }

    async function ask(ids: Int32Array, positions: number): Promise<{ known: number; ids: number[] }> {
      const known = await read(ids, positions);
      cache.beginAnswer();
      const sampled = await take(decoder, { prompt: ids, limit: LIMIT });
      for (const id of sampled) cache.append(id);
      return { known, ids: sampled };
    }

    /** The answer with an empty cache and unlimited memory. */
    async function cold(ids: Int32Array): Promise<number[]> {
      memory.bytes = Infinity;
      cache.forget();
      const answered = await ask(ids, ids.length + LIMIT);
      cache.forget();
      return answered.ids;
    }

    test('the buffers of snapshots are counted once', async () => {
      const others = async (chats: number[]): Promise<number> => {
        for (const first of chats) await ask(chat(first), BLOCK);
        return decoder.buffers - memory.buffers;
      };
      cache.forget();
      const without = await others([1]);
      expect(cache.snapshots.count).toBe(0);
      expect(await others([2, 3])).toBe(without);
      expect(cache.snapshots.count).toBe(2);
      cache.drop();
      cache.forget();
      expect(await others([1])).toBe(without);
    });

    test('snapshots are evicted, the oldest first, and the answer is right', async () => {
      const expected = await cold(chat(5));
      for (const first of [1, 2, 3, 4]) await ask(chat(first), BLOCK);
      expect(cache.snapshots.count).toBe(3);
      // A snapshot of the fourth is taken, the first two have to be evicted.
      memory.bytes = 2 * block + cache.snapshots.bytes * (2 / 3);
      expect(await ask(chat(5), 2 * BLOCK)).toEqual({ known: 0, ids: expected });
      expect(cache.snapshots.count).toBe(2);
      memory.bytes = Infinity;
      expect((await ask(chat(3), BLOCK)).known).toBe(PROMPT.length - 1);
      expect((await ask(chat(1), BLOCK)).known).toBe(0);
    });

    test('the snapshot to restore is evicted last, and the prompt is read again then', async () => {
      const expected = await cold(chat(1));
      for (const first of [1, 2]) await ask(chat(first), BLOCK);
      memory.bytes = 2 * block + cache.snapshots.bytes;
      expect(await ask(chat(1), 2 * BLOCK)).toEqual({ known: PROMPT.length - 1, ids: expected });
      cache.drop();
      expect(cache.snapshots.count).toBe(1);
      memory.bytes = 2 * block;
      expect(await ask(chat(1), 2 * BLOCK)).toEqual({ known: 0, ids: expected });
      expect(cache.snapshots.count).toBe(0);
    });

    test('a prompt is read again if its positions cannot be copied to larger buffers', async () => {
      const expected = await cold(chat(1));
      await ask(chat(1), BLOCK);
      memory.bytes = 2 * block;
      expect(await ask(chat(1), 2 * BLOCK)).toEqual({ known: 0, ids: expected });
    });

    test('an answer that outgrows its reservation evicts snapshots', async () => {
      const expected = await cold(chat(9, LONG));
      for (const first of [1, 2]) await ask(chat(first), BLOCK);
      // Half a block more, and, where buffers are replaced one by one, the last of the four smaller ones.
      memory.bytes = (sets === 1 ? 1.75 : 1.5) * block;
      expect(await ask(chat(9, LONG), BLOCK)).toEqual({ known: 0, ids: expected });
      expect(cache.snapshots.count).toBe(0);
      memory.bytes = Infinity;
      cache.forget();
    });

    test('an answer grows by half where there is no memory to double, however much there is', async () => {
      const prompt = chat(9, LONG);
      const expected = await cold(prompt);
      for (const blocks of [1.75, 1.9, 2, 2.1, 2.2]) {
        memory.bytes = blocks * block;
        expect(await ask(prompt, BLOCK)).toEqual({ known: 0, ids: expected });
        cache.forget();
      }
    });

    test.runIf(kind === 'pipelined')('nothing is evicted for more than what is needed', async () => {
      const prompt = chat(9, BLOCK + 4);
      const expected = await cold(prompt);
      await ask(chat(1), BLOCK);
      await read(prompt.subarray(0, LONG));
      expect(cache.snapshots.count).toBe(1);
      // Three of the four buffers are replaced by those for 384 positions before there is no memory for the last.
      memory.bytes = cache.snapshots.bytes + 1.7 * block;
      expect(await read(prompt)).toBe(LONG);
      expect(cache.snapshots.count).toBe(1);
      memory.bytes = Infinity;
      expect(await take(decoder, { prompt, limit: LIMIT })).toEqual(expected);
      cache.forget();
    });

    test('an answer that ends with what is reserved needs no more', async () => {
      memory.bytes = Infinity;
      const prompt = chat(9, LONG);
      // The last token is sampled, and not read.
      const count = BLOCK - LONG + 1;
      const expected = (await cold(prompt)).slice(0, count);
      memory.bytes = sets * block;
      await read(prompt, BLOCK);
      expect(await take(decoder, { prompt, limit: LIMIT }, count)).toEqual(expected);
      memory.bytes = Infinity;
      cache.forget();
    });

    test('a snapshot that there is no memory for is lost, and the answers are right', async () => {
      const expected = await cold(chat(2));
      await ask(chat(1), BLOCK);
      memory.bytes = memory.used;
      expect(await ask(chat(2), BLOCK)).toEqual({ known: 0, ids: expected });
      memory.bytes = Infinity;
      expect((await ask(chat(1), BLOCK)).known).toBe(0);
      expect(gpu.fault.aborted).toBe(false);
    });

    test('without anything to evict the request is refused with the bytes needed, and a smaller one is answered', async () => {
      const expected = await cold(chat(1));
      memory.bytes = 1.4 * block;
      const refusal = {
        code: 'context_length_exceeded',
        param: 'max_tokens',
        message: expect.stringMatching(/no memory .* (384|512) tokens .* MB.* max_tokens/),
      };
      await ask(chat(2), BLOCK);
      await expect(ask(chat(1), 2 * BLOCK)).rejects.toMatchObject(refusal);
      expect(memory.used).toBe(0);
      expect(await ask(chat(1), BLOCK)).toEqual({ known: 0, ids: expected });
      // Also in the middle of an answer.
      await expect(ask(chat(3, LONG), BLOCK)).rejects.toMatchObject(refusal);
      expect(memory.used).toBe(0);
      expect(await ask(chat(1), BLOCK)).toEqual({ known: 0, ids: expected });
    });

    test('a request whose buffers exceed the limits of the device is refused', async () => {
      const expected = await cold(chat(1));
      memory.bytes = Infinity;
      await expect(ask(chat(1), 2 ** 30)).rejects.toMatchObject({ code: 'context_length_exceeded' });
      expect(await ask(chat(1), BLOCK)).toEqual({ known: 0, ids: expected });
      expect(gpu.fault.aborted).toBe(false);
    });

    test('a self-test that runs out of memory reports an unsupported device', async () => {
      cache.forget();
      memory.bytes = 0;
      const selfTest = selfTestDecoder(decoder, 24, signal);
      await expect(selfTest).rejects.toMatchObject({
        code: 'unsupported_device',
        message: expect.stringMatching(/no memory/),
      });
      memory.bytes = Infinity;
      await expect(selfTestDecoder(decoder, 24, signal)).resolves.toBeUndefined();
    });

    test.runIf(kind === 'pipelined')('so does the self-test of replayed steps, with more positions', async () => {
      cache.forget();
      memory.bytes = block;
      const replayTest = replayFailure(decoder, 24, signal);
      await expect(replayTest).rejects.toMatchObject({ code: 'unsupported_device' });
      memory.bytes = Infinity;
      await expect(replayFailure(decoder, 24, signal)).resolves.toBeUndefined();
    });
  });
};

describe.each(['pipelined', 'stepwise'] as const)('on the GPU, %s', { timeout: 180_000 }, onGpu);
describe('on the GPU, transformers', { timeout: 180_000, tags: ['long'] }, () => onGpu('transformers'));
