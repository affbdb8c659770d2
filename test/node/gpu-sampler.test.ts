import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Sampler } from '../../worker/decode/sampler.ts';
import type { Gpu } from '../../worker/gpu/device.ts';
import { GREEDY, openGpu } from './decode/rig.ts';
import { Bench, compare, Dice, halves, MOST_STEPS, settings, SHAPES } from './gpu-sampler-cases.ts';

const NONE = new Int32Array(0);

/** Greedy, with a bias that a double adds to 1 and float32 does not. */
const BIASED: typeof GREEDY = { ...GREEDY, logitBias: [[1, 2 ** -24 + 2 ** -50]] };

let gpu: Gpu;

beforeAll(async () => {
  gpu = await openGpu();
});

afterAll(() => gpu.close());

describe.each([
  { vocab: 1280, type: 'float32', cases: 300 },
  { vocab: 49_280, type: 'float32', cases: 40 },
  { vocab: 49_280, type: 'float16', cases: 40 },
  { vocab: 3001, type: 'float16', cases: 40 },
] as const)('$vocab tokens, $type', ({ vocab, type, cases }) => {
  test('the GPU draws what the CPU draws', async () => {
    expect(await compare(gpu.device, { vocab, type, cases })).toEqual([]);
  });
});

test('a bias that float32 does not hold is added by both as the nearest that it does', async () => {
  const bench = new Bench(gpu.device, 3001, 'float32');
  const logits = new Float32Array(3001).fill(1);
  const drawn = await bench.draw([logits], BIASED, NONE, 0);
  bench.close();
  expect(drawn).toEqual([{ id: 0 }]);
  expect(new Sampler(BIASED, NONE, 0).draw(logits)).toEqual({ id: 0 });
});

describe('log probabilities', () => {
  test.each([0, 1, 20])('with %i likeliest tokens are those of the CPU', async (top) => {
    const dice = new Dice(3);
    const bench = new Bench(gpu.device, 3001, 'float32');
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
    const bench = new Bench(gpu.device, 3001, 'float32');
    await expect(bench.draw([row(1), logits], sampling, NONE, 0)).rejects.toThrow('no finite logits');
    expect(() => new Sampler(sampling, NONE, 0).draw(logits)).toThrow('no finite logits');
    bench.close();
  });

  test('minus infinity among others is a token that never comes', async () => {
    const sampling = { ...settings(new Dice(1), 3001), temperature: 0, logitBias: [] };
    const bench = new Bench(gpu.device, 3001, 'float16');
    const rows = [halves(row(-Infinity, 0)), halves(row(2, 3000))];
    expect(await bench.draw(rows, sampling, NONE, 0)).toEqual([{ id: 1 }, { id: 3000 }]);
    bench.close();
  });
});
