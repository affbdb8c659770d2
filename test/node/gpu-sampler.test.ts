import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Sampling } from '../../src/wire/job.ts';
import { widen } from '../../worker/decode/memory.ts';
import { type Drawn, Sampler } from '../../worker/decode/sampler.ts';
import { findAdapter, Gpu } from '../../worker/gpu/device.ts';
import { Readback } from '../../worker/gpu/readback.ts';
import { WgslSampler } from '../../worker/gpu/sampler.ts';
import { COPY_DST, STORAGE } from '../../worker/gpu/usage.ts';
import { mix } from '../../worker/decode/noise.ts';
import { useDawn } from './decode/rig.ts';

type Seeded = Sampling & { seed: number };

type Row = Float32Array<ArrayBuffer> | Uint16Array<ArrayBuffer>;

const MOST_STEPS = 8;

const NONE = new Int32Array(0);

let gpu: Gpu;

beforeAll(async () => {
  useDawn();
  const adapter = await findAdapter();
  if (!adapter) throw new Error('Dawn finds no adapter: has `npm test` set up lavapipe?');
  gpu = await Gpu.open(adapter);
});

afterAll(() => gpu.close());

/** Numbers that look random, the same in every run. */
class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** From 0 to below 1. */
  next(): number {
    this.#state++;
    return mix(this.#state) / 2 ** 32;
  }

  below(count: number): number {
    return Math.floor(this.next() * count);
  }

  oneOf<T>(...values: T[]): T {
    return values[this.below(values.length)]!;
  }

  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.next())) * Math.cos(2 * Math.PI * this.next());
  }
}

const SHAPES: Record<string, (dice: Dice) => () => number> = {
  peaky: (dice) => () => dice.normal() * 2 + (dice.below(500) === 0 ? 15 : 0),
  ordinary: (dice) => () => dice.normal() * 3 - 2,
  flat: (dice) => () => dice.normal() * 0.01,
  ties: (dice) => () => dice.below(12) / 4,
  equal: () => () => 3.5,
  masked: (dice) => () => (dice.below(4) === 0 ? dice.normal() : dice.oneOf(-1e30, -65504, -Infinity)),
  wide: (dice) => () => dice.normal() * 400,
};

function settings(dice: Dice, vocab: number): Seeded {
  return {
    temperature: dice.oneOf(0, 0.05, 0.7, 1, 2),
    topK: dice.oneOf(0, 0, 1, 5, 40, 1000, vocab),
    topP: dice.oneOf(1, 1, 0.95, 0.5, 1e-6, 0.999),
    minP: dice.oneOf(0, 0, 0.05, 0.5, 1),
    frequencyPenalty: dice.oneOf(0, 0, 0.3, -1.7),
    presencePenalty: dice.oneOf(0, 0, 0.7, 2),
    repetitionPenalty: dice.oneOf(1, 1, 1.2, 0.3, 2),
    logitBias: [...new Map(Array.from({ length: dice.oneOf(0, 0, 30) }, () => [dice.below(vocab), dice.normal() * 5]))],
    seed: dice.below(2 ** 20) * 2 ** 20,
  };
}

/** Half precision, cut off; an even number of them, as buffers are written in words. */
function halves(values: Float32Array): Uint16Array<ArrayBuffer> {
  const bits = new Uint32Array(Float32Array.from(values).buffer);
  const out = new Uint16Array(2 * Math.ceil(values.length / 2));
  for (const [at, word] of bits.entries()) {
    const exponent = ((word >> 23) & 255) - 112;
    const rest = exponent >= 31 ? 0x7c00 : exponent > 0 ? (exponent << 10) | ((word >> 13) & 1023) : 0;
    out[at] = ((word >>> 31) << 15) | rest;
  }
  return out;
}

/** Draws on the GPU, each from its own row of logits. */
class Bench {
  readonly #sampler: WgslSampler;
  readonly #rows: GPUBuffer[];
  readonly #readback: Readback;

  constructor(vocab: number, type: 'float32' | 'float16') {
    this.#sampler = new WgslSampler(gpu.device, vocab, type);
    this.#readback = new Readback(gpu.device);
    const size = 4 * Math.ceil((vocab * (type === 'float16' ? 2 : 4)) / 4);
    this.#rows = Array.from({ length: MOST_STEPS }, () => gpu.device.createBuffer({ size, usage: STORAGE | COPY_DST }));
  }

  async draw(rows: Row[], ...answer: Parameters<WgslSampler['begin']>): Promise<Drawn[]> {
    const draws = this.#sampler.begin(...answer);
    if (!draws) throw new Error('not drawn on the GPU');
    const encoder = gpu.device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (const [step, row] of rows.entries()) {
      const buffer = this.#rows[step]!;
      gpu.device.queue.writeBuffer(buffer, 0, row);
      draws.encode(pass, buffer);
    }
    pass.end();
    gpu.device.queue.submit([encoder.finish()]);
    const words = draws.entryBytes / 4;
    const entries = new Uint32Array(await this.#readback.read(this.#sampler.ring, 0, rows.length * draws.entryBytes));
    const drawn = rows.map((_, step) => draws.read(entries.subarray(step * words, (step + 1) * words)));
    expect([...new Uint32Array(await this.#readback.read(this.#sampler.drawn, 0, 4))]).toEqual([drawn.at(-1)?.id]);
    return drawn;
  }

  close(): void {
    this.#sampler.close();
    this.#readback.close();
    for (const buffer of this.#rows) buffer.destroy();
  }
}

describe.each([
  { vocab: 1280, type: 'float32', cases: 300 },
  { vocab: 49_280, type: 'float32', cases: 40 },
  { vocab: 49_280, type: 'float16', cases: 40 },
  { vocab: 3001, type: 'float16', cases: 40 },
] as const)('$vocab tokens, $type', ({ vocab, type, cases }) => {
  test('the GPU draws what the CPU draws', async () => {
    const dice = new Dice(vocab);
    const bench = new Bench(vocab, type);
    const wrong: string[] = [];
    for (let each = 0; each < cases; each++) {
      const sampling = settings(dice, vocab);
      const shape = dice.oneOf(...Object.keys(SHAPES));
      const roll = SHAPES[shape]!(dice);
      const rows = Array.from({ length: 1 + dice.below(MOST_STEPS) }, () => {
        const row = Float32Array.from({ length: vocab }, roll);
        return type === 'float16' ? halves(row) : row;
      });
      const prompt = Int32Array.from({ length: 50 }, () => dice.below(vocab));
      const sampler = new Sampler(sampling, prompt, each % 3);
      const drawn = await bench.draw(rows, sampling, prompt, each % 3);
      const expected = rows.map((row) =>
        sampler.draw(row instanceof Uint16Array ? widen(row).subarray(0, vocab) : row),
      );
      if (drawn.some(({ id }, step) => id !== expected[step]?.id)) {
        wrong.push(`${shape} ${JSON.stringify(sampling)} ${JSON.stringify(drawn)} ${JSON.stringify(expected)}`);
      }
    }
    bench.close();
    expect(wrong).toEqual([]);
  });
});

describe('log probabilities', () => {
  test.each([0, 1, 20])('with %i likeliest tokens are those of the CPU', async (top) => {
    const dice = new Dice(3);
    const bench = new Bench(3001, 'float32');
    for (const roll of Object.values(SHAPES)) {
      const rows = Array.from({ length: MOST_STEPS }, () => Float32Array.from({ length: 3001 }, roll(dice)));
      const sampling = settings(dice, 3001);
      const sampler = new Sampler(sampling, Int32Array.of(5), 0, top);
      for (const [step, drawn] of (await bench.draw(rows, sampling, Int32Array.of(5), 0, top)).entries()) {
        const expected = sampler.draw(rows[step]!);
        expect(drawn.id).toBe(expected.id);
        expect(drawn.top?.map(({ id }) => id)).toEqual(expected.top?.map(({ id }) => id));
        const pairs = [[drawn, expected], ...(drawn.top ?? []).map((token, rank) => [token, expected.top![rank]!])];
        // What is masked out has a logit of its own on either side, so far down that nobody asks how far.
        for (const [ours, theirs] of pairs) {
          if ((theirs!.logprob ?? 0) > -1e20) expect(ours!.logprob ?? 0).toBeCloseTo(theirs!.logprob ?? 0, 4);
        }
      }
    }
    bench.close();
  });
});

describe('logits of a kernel gone wrong', () => {
  const row = (value: number, at?: number): Float32Array<ArrayBuffer> =>
    at === undefined ? new Float32Array(3001).fill(value) : new Float32Array(3001).fill(value, at, at + 1);

  test.each([
    ['one that is no number', row(NaN, 2999)],
    ['one that is infinite', row(Infinity, 7)],
    ['none that is above minus infinity', row(-Infinity)],
    ['none but large negative ones', row(-3e38)],
  ])('are refused by both: %s', async (_, logits) => {
    const sampling = { ...settings(new Dice(1), 3001), logitBias: [] };
    const bench = new Bench(3001, 'float32');
    await expect(bench.draw([row(1), logits], sampling, NONE, 0)).rejects.toThrow('no finite logits');
    expect(() => new Sampler(sampling, NONE, 0).draw(logits)).toThrow('no finite logits');
    bench.close();
  });

  test('minus infinity among others is a token that never comes', async () => {
    const sampling = { ...settings(new Dice(1), 3001), temperature: 0, logitBias: [] };
    const bench = new Bench(3001, 'float16');
    const rows = [halves(row(-Infinity, 0)), halves(row(2, 3000))];
    expect(await bench.draw(rows, sampling, NONE, 0)).toEqual([{ id: 1 }, { id: 3000 }]);
    bench.close();
  });
});
