import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import type { Decoder, SamplingRequest } from '../../../worker/generation/decoder.ts';
import { PrefixCache } from '../../../worker/generation/prefix-cache.ts';
import { selfTestDecoder } from '../../../worker/self-test/decoder-self-test.ts';
import type { Gpu } from '../../../worker/webgpu/gpu-device.ts';
import { loadOrt, type Ort } from '../../../worker/onnx/ort.ts';
import { toyDecoder, toyEmbed } from '../onnx/toy-graphs.ts';
import { limitMemory, type MemoryLimit } from '../engines/memory-limit.ts';
import { nativeDecoder } from '../engines/native.ts';
import { assets, GREEDY, openGpu } from '../engines/dawn-engine.ts';
import { openToy, POSITIONS, PROMPT, take, type Toy } from './toy-decoder.ts';

const { signal } = new AbortController();
/** Positions that room is made for at a time, at least. */
const BLOCK = 256;

const FILES = {
  decoder: toyDecoder({ rotary: 'input', allRows: true, positions: POSITIONS }),
  embed: toyEmbed('float32'),
};

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

/** The loop on the GPU, and the graph as it was exported, step by step. */
describe.each(['resident', 'plain'] as const)('on the GPU, %s', { timeout: 180_000 }, (kind) => {
  // Twice past its room, or once where steps are slow.
  const limit = kind === 'resident' ? 600 : 300;
  let toy: Toy;
  let decoder: Decoder;

  beforeAll(async () => {
    toy = await openToy(ort, gpu, FILES, kind);
    decoder = toy.decoder;
  }, 120_000);

  afterAll(() => toy.close());

  /** Answers a prompt that nothing was read of, with room for so many positions at first. */
  async function answer(
    room: number,
    changes: Partial<SamplingRequest>,
  ): Promise<{ ids: number[]; logits: Float32Array }> {
    decoder.clear();
    await decoder.reset(room);
    await decoder.prefill(PROMPT, -1, [], signal);
    return { ids: await take(decoder, changes), logits: await decoder.logits() };
  }

  test('gives the ids of native onnxruntime on the unmodified files', async () => {
    const native = await nativeDecoder(FILES.embed, FILES.decoder);
    const wanted = (await native.answer(PROMPT, 40)).map(({ id }) => id);
    expect(new Set(wanted).size).toBeGreaterThan(2);
    expect((await answer(PROMPT.length + 40, {})).ids).toEqual(wanted);
  });

  test.each([
    ['greedy', GREEDY],
    ['sampled', SAMPLED],
  ])('an answer that outgrows its room is the same as one with room enough: %s', async (_, sampling) => {
    const wanted = await answer(PROMPT.length + limit, { sampling, limit });
    const made = vi.spyOn(GPUDevice.prototype, 'createBuffer');
    const sizes = (): Set<number> =>
      new Set(made.mock.calls.filter(([{ label }]) => label?.startsWith('past')).map(([{ size }]) => size));
    const { ids, logits } = await answer(PROMPT.length, { sampling, limit });
    const [least = 0, ...more] = sizes();
    expect(more).toEqual(kind === 'resident' ? [2 * least, 4 * least] : [2 * least]);
    expect(ids).toHaveLength(limit);
    expect(new Set(ids).size).toBeGreaterThan(2);
    expect(ids).toEqual(wanted.ids);
    expect(logits).toEqual(wanted.logits);
    expect(gpu.fault.aborted).toBe(false);
  });

  describe.runIf(kind === 'resident')('where memory is short', () => {
    /** Bytes of the smallest room. */
    let block: number;
    let memory: MemoryLimit;
    let cache: PrefixCache;
    const chat = (first: number, length = PROMPT.length): Int32Array =>
      Int32Array.from({ length }, (_, at) => (at * 7 + first) % 24);

    beforeAll(async () => {
      decoder.clear();
      await decoder.reset(BLOCK);
      await decoder.prefill(PROMPT, -1, [], signal);
      block = (decoder.kv.snapshotBytes / PROMPT.length) * BLOCK;
      decoder.clear();
      memory = limitMemory();
      cache = new PrefixCache(decoder);
      return () => memory.lift();
    });

    /** Asks with room for so many positions. How many of the prompt were known, and the answer. */
    async function ask(ids: Int32Array, room: number, limit = 20): Promise<{ known: number; ids: number[] }> {
      const known = await cache.begin({ ids, images: [] }, room, true);
      await decoder.prefill(ids.subarray(known), -1, [], signal);
      cache.beginAnswer();
      const drawn = await take(decoder, { prompt: ids, limit });
      for (const id of drawn) cache.append(id);
      return { known, ids: drawn };
    }

    /** The same, by a decoder that has read nothing and has all the memory. */
    async function cold(ids: Int32Array, limit = 20): Promise<number[]> {
      memory.bytes = Infinity;
      cache.forget();
      const answered = await ask(ids, ids.length + limit, limit);
      cache.forget();
      return answered.ids;
    }

    test('what was set aside is given up, the oldest first, and the answer is right', async () => {
      const wanted = await cold(chat(5));
      for (const first of [1, 2, 3, 4]) await ask(chat(first), BLOCK);
      expect(cache.snapshots.count).toBe(3);
      // The fourth is set aside, the first two have to go.
      memory.bytes = 2 * block + cache.snapshots.bytes * (2 / 3);
      expect(await ask(chat(5), 2 * BLOCK)).toEqual({ known: 0, ids: wanted });
      expect(cache.snapshots.count).toBe(2);
      memory.bytes = Infinity;
      expect((await ask(chat(3), BLOCK)).known).toBe(PROMPT.length - 1);
      expect((await ask(chat(1), BLOCK)).known).toBe(0);
    });

    test('what is about to be read goes last, and is read anew then', async () => {
      const wanted = await cold(chat(1));
      for (const first of [1, 2]) await ask(chat(first), BLOCK);
      memory.bytes = 2 * block + cache.snapshots.bytes;
      expect(await ask(chat(1), 2 * BLOCK)).toEqual({ known: PROMPT.length - 1, ids: wanted });
      cache.drop();
      expect(cache.snapshots.count).toBe(1);
      memory.bytes = 2 * block;
      expect(await ask(chat(1), 2 * BLOCK)).toEqual({ known: 0, ids: wanted });
      expect(cache.snapshots.count).toBe(0);
    });

    test('what is held is read anew, where it cannot be there twice', async () => {
      const wanted = await cold(chat(1));
      await ask(chat(1), BLOCK);
      memory.bytes = 2 * block;
      expect(await ask(chat(1), 2 * BLOCK)).toEqual({ known: 0, ids: wanted });
    });

    test('an answer that outgrows its room takes it from what was set aside', async () => {
      const wanted = await cold(chat(9), 400);
      for (const first of [1, 2]) await ask(chat(first), BLOCK);
      // The larger room, and the last of the four tensors of the smaller one.
      memory.bytes = 2.25 * block;
      expect(await ask(chat(9), BLOCK, 400)).toEqual({ known: 0, ids: wanted });
      expect(cache.snapshots.count).toBe(0);
      memory.bytes = Infinity;
      cache.forget();
    });

    test('what there is no memory to set aside is lost, and the answers are right', async () => {
      const wanted = await cold(chat(2));
      await ask(chat(1), BLOCK);
      memory.bytes = memory.used;
      expect(await ask(chat(2), BLOCK)).toEqual({ known: 0, ids: wanted });
      memory.bytes = Infinity;
      expect((await ask(chat(1), BLOCK)).known).toBe(0);
      expect(gpu.fault.aborted).toBe(false);
    });

    test('the request is refused in the end, says what it needed, and a smaller one is answered', async () => {
      const wanted = await cold(chat(1));
      memory.bytes = 1.5 * block;
      const refusal = {
        code: 'context_length_exceeded',
        param: 'max_tokens',
        message: expect.stringMatching(/no memory .* 512 tokens .* MB.* max_tokens/),
      };
      await ask(chat(2), BLOCK);
      await expect(ask(chat(1), 2 * BLOCK)).rejects.toMatchObject(refusal);
      expect(memory.used).toBe(0);
      expect(await ask(chat(1), BLOCK)).toEqual({ known: 0, ids: wanted });
      // In the middle of an answer as well.
      await expect(ask(chat(3), BLOCK, 400)).rejects.toMatchObject(refusal);
      expect(memory.used).toBe(0);
      expect(await ask(chat(1), BLOCK)).toEqual({ known: 0, ids: wanted });
    });

    test('so is a request whose buffers are larger than any may be', async () => {
      const wanted = await cold(chat(1));
      memory.bytes = Infinity;
      await expect(ask(chat(1), 2 ** 30)).rejects.toMatchObject({ code: 'context_length_exceeded' });
      expect(await ask(chat(1), BLOCK)).toEqual({ known: 0, ids: wanted });
      expect(gpu.fault.aborted).toBe(false);
    });

    test('a proof without room does not ask for a smaller max_tokens, but for another device', async () => {
      cache.forget();
      memory.bytes = 0;
      const proof = selfTestDecoder(decoder, 24, signal);
      await expect(proof).rejects.toMatchObject({
        code: 'unsupported_device',
        message: expect.stringMatching(/no memory/),
      });
      memory.bytes = Infinity;
      await expect(selfTestDecoder(decoder, 24, signal)).resolves.toBeUndefined();
    });
  });
});
