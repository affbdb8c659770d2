import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import type { Decoder, SamplingRequest } from '../../../worker/generation/decoder.ts';
import { PrefixCache } from '../../../worker/generation/prefix-cache.ts';
import { selfTestDecoder } from '../../../worker/self-test/decoder-self-test.ts';
import type { Gpu } from '../../../worker/webgpu/gpu-device.ts';
import { loadOrt, type Ort } from '../../../worker/onnx/ort.ts';
import { Session } from '../../../worker/onnx/ort-session.ts';
import { singleFile } from '../onnx/optimize-graphs.ts';
import { toyDecoder, toyEmbed } from '../onnx/toy-graphs.ts';
import { limitMemory, type MemoryLimit } from '../engines/memory-limit.ts';
import { nativeDecoder } from '../engines/native.ts';
import { assets, GREEDY, openGpu } from '../engines/dawn-engine.ts';
import { asTransformers, openToy, POSITIONS, PROMPT, take, type Toy } from './toy-decoder.ts';

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

describe.each(['pipelined', 'stepwise', 'transformers'] as const)('on the GPU, %s', { timeout: 180_000 }, (kind) => {
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
        new Set(made.mock.calls.filter(([{ label }]) => label?.startsWith('past')).map(([{ size }]) => size));
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
      block = sets * (decoder.kv.snapshotBytes / PROMPT.length) * BLOCK;
      decoder.clear();
      memory = limitMemory();
      cache = new PrefixCache(decoder);
      return () => memory.lift();
    });

    /** Asks with memory reserved for so many positions. Returns how many positions were reused, and the answer. */
    async function ask(ids: Int32Array, positions: number): Promise<{ known: number; ids: number[] }> {
      const known = await cache.begin({ ids, images: [] }, positions, true);
      await decoder.prefill(ids.subarray(known), -1, [], signal);
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
      // The larger buffers, and, where they are replaced one by one, the last of the four smaller ones.
      memory.bytes = (sets === 1 ? 2.25 : 2) * block;
      expect(await ask(chat(9, LONG), BLOCK)).toEqual({ known: 0, ids: expected });
      expect(cache.snapshots.count).toBe(0);
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
      memory.bytes = 1.5 * block;
      const refusal = {
        code: 'context_length_exceeded',
        param: 'max_tokens',
        message: expect.stringMatching(/no memory .* 512 tokens .* MB.* max_tokens/),
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
  });
});

/** The second engine's decoder on the CPU. */
async function openOnWasm(): Promise<{ decoder: Decoder; session: Session } & AsyncDisposable> {
  const onWasm = await loadOrt('wasm', assets.ort);
  const session = await Session.open(onWasm, singleFile(FILES.decoder));
  const embed = await Session.open(onWasm, singleFile(FILES.embed));
  const decoder = await asTransformers(onWasm, undefined, session, embed);
  const close = async (): Promise<void> => {
    decoder.close();
    await session.close();
    await embed.close();
  };
  return { decoder, session, [Symbol.asyncDispose]: close };
}

test('a long text of an answer is read in chunks on wasm as well, which an abort ends', async () => {
  await using opened = await openOnWasm();
  const { decoder, session } = opened;
  await decoder.prefill(PROMPT, -1, [], signal);
  const run = vi.spyOn(session, 'run');
  const ids = Int32Array.from({ length: 600 }, (_, at) => at % 24);
  await decoder.read(ids, signal);
  expect(run).toHaveBeenCalledTimes(2);
  const abort = new AbortController();
  const reading = decoder.read(ids, abort.signal);
  abort.abort(new Error('enough'));
  await expect(reading).rejects.toThrow('enough');
  expect(run).toHaveBeenCalledTimes(2);
});

test('on wasm, a run of the second engine without memory is refused, and the next one is right', async () => {
  await using opened = await openOnWasm();
  const { decoder, session } = opened;
  const read = async (): Promise<number[]> => {
    decoder.clear();
    await decoder.prefill(PROMPT, -1, [], signal);
    return take(decoder, { limit: 10 });
  };
  const expected = await read();
  const run = vi.spyOn(session, 'run').mockRejectedValueOnce(new Error('ERROR_CODE: 6, ERROR_MESSAGE: std::bad_alloc'));
  await expect(read()).rejects.toMatchObject({
    code: 'context_length_exceeded',
    message: expect.stringMatching(/11 tokens/),
  });
  expect(await read()).toEqual(expected);
  for (const other of ['Invalid rank', 'memory access out of bounds']) {
    run.mockRejectedValueOnce(new Error(other));
    await expect(read()).rejects.toThrow(other);
  }
});
