import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TokenConstraint } from '../../../worker/sampling/token-constraint.ts';
import { CpuSampler } from '../../../worker/sampling/cpu-sampler.ts';
import { findAdapter, type Gpu } from '../../../worker/webgpu/gpu-device.ts';
import { GREEDY, openGpu } from '../engines/dawn-engine.ts';
import { halves } from '../../fixtures/halves.ts';
import { digitIds, ToyConstraint } from '../sampling/toy-constraint.ts';
import { Bench, compare, Dice, sampleConstrained, MAX_STEPS, settings, SHAPES } from './gpu-sampler-cases.ts';
import { glimpseTokenizer } from '../families/glimpse-tokenizer.ts';

const NONE = new Int32Array(0);

/** The vocabulary of glimpse. */
const VOCAB = 1280;

/** Greedy, with a bias that changes 1 in double precision and not in float32. */
const BIASED: typeof GREEDY = { ...GREEDY, logitBias: [[1, 2 ** -24 + 2 ** -50]] };

let gpu: Gpu;

beforeAll(async () => {
  gpu = await openGpu();
});

afterAll(() => gpu.close());

// The cases of a shorter list are the first of a longer one.
describe.each([
  { vocab: 1280, type: 'float32', cases: 100 },
  { vocab: 1280, type: 'float32', cases: 300, long: true },
  { vocab: 49_280, type: 'float32', cases: 40, long: true },
  { vocab: 49_280, type: 'float16', cases: 40 },
  { vocab: 3001, type: 'float16', cases: 40 },
] as const)('$vocab tokens, $type, $cases cases', ({ vocab, type, cases, ...rest }) => {
  test('the GPU samples the same tokens as the CPU', { tags: 'long' in rest ? ['long'] : [] }, async () => {
    expect(await compare(gpu.device, { vocab, type, cases })).toEqual([]);
  });
});

test('the kernels work within the default limits of WebGPU', async () => {
  const adapter = await findAdapter();
  const device = await adapter!.requestDevice();
  expect(device.limits.maxStorageBuffersPerShaderStage).toBe(8);
  const bench = new Bench(device, VOCAB, 'float32');
  device.pushErrorScope('validation');
  const constraint = new ToyConstraint(VOCAB, () => [9]);
  const sampling = { ...GREEDY, temperature: 1, topK: 5 };
  const sampled = await bench.sampleConstrained([new Float32Array(VOCAB)], constraint, sampling, NONE, 0, 1);
  expect(await device.popErrorScope()).toBeNull();
  expect(sampled[0]?.id).toBe(9);
  bench.close();
  device.destroy();
});

describe('under a constraint', () => {
  const DIGITS = digitIds(glimpseTokenizer(), VOCAB);

  test.each([
    { vocab: VOCAB, type: 'float32', cases: 150 },
    { vocab: 3001, type: 'float16', cases: 50 },
  ] as const)('the GPU samples the same tokens as the CPU: $vocab tokens, $type', async (kind) => {
    expect(DIGITS.length).toBeGreaterThan(9);
    expect(await compare(gpu.device, { ...kind, listed: DIGITS })).toEqual([]);
  });

  const dice = new Dice(11);
  const rows = Array.from({ length: 4 }, () => Float32Array.from({ length: VOCAB }, SHAPES['ordinary']!(dice)));
  const RULES: [string, Partial<typeof GREEDY>][] = [
    ['greedy', {}],
    ['a large bias for a token that is not allowed', { logitBias: [[1, 100]] }],
    ['top-k', { temperature: 1, topK: 3 }],
    ['top-p', { temperature: 1, topP: 0.2 }],
    ['min-p', { temperature: 1, minP: 0.9 }],
    ['penalties', { temperature: 1, repetitionPenalty: 2, frequencyPenalty: 2, presencePenalty: 2 }],
  ];

  test.each(RULES)('only digits are sampled, with the log probabilities of the model: %s', async (_, changes) => {
    const sampling = { ...GREEDY, ...changes };
    const bench = new Bench(gpu.device, VOCAB, 'float32');
    const [one, other] = [new ToyConstraint(VOCAB, () => DIGITS), new ToyConstraint(VOCAB, () => DIGITS)];
    const onGpu = await bench.sampleConstrained(rows, one, sampling, Int32Array.of(5), 0, 2);
    bench.close();
    const onCpu = sampleConstrained(rows, other, new CpuSampler(sampling, Int32Array.of(5), 0, 2));
    expect(onGpu.map(({ id }) => id)).toEqual(onCpu.map(({ id }) => id));
    expect(one.accepted).toEqual(onGpu.map(({ id }) => id));
    expect(one.accepted.filter((id) => !DIGITS.includes(id))).toEqual([]);
    for (const [step, { id, logprob, top }] of [...onGpu, ...onCpu].entries()) {
      const row = rows[step % rows.length]!;
      const sum = row.reduce((total, logit) => total + Math.exp(logit), 0);
      expect(logprob).toBeCloseTo(row[id]! - Math.log(sum), 4);
      expect(top?.[0]?.id).toBe(row.indexOf(Math.max(...row)));
    }
  });

  test('the only allowed token is sampled, even if unlikely, and the next answer is unconstrained', async () => {
    const bench = new Bench(gpu.device, VOCAB, 'float32');
    const sampling = { ...GREEDY, temperature: 1, topK: 1, logitBias: [[777, -100]] satisfies [number, number][] };
    const free = await bench.sample(rows, sampling, NONE, 0);
    const only = (): ToyConstraint => new ToyConstraint(VOCAB, () => [777]);
    const ids = [{ id: 777 }, { id: 777 }, { id: 777 }, { id: 777 }];
    expect(await bench.sampleConstrained(rows, only(), sampling, NONE, 0)).toEqual(ids);
    expect(sampleConstrained(rows, only(), new CpuSampler(sampling, NONE, 0))).toEqual(ids);
    expect(await bench.sample(rows, sampling, NONE, 0)).toEqual(free);
    bench.close();
  });

  test.each<[string, number[] | undefined, (row: Float32Array) => void, string]>([
    ['no token is left', [], () => {}, 'constraint_unsatisfiable'],
    ['the ones left never come', [3, 4], (row) => row.fill(-Infinity, 3, 5), 'constraint_unsatisfiable'],
    ['a logit is no number, even one that may not come', [3], (row) => row.fill(NaN, 9, 10), 'internal'],
    ['no logit is finite', [3], (row) => row.fill(-Infinity), 'internal'],
  ])('both end with an error where %s', async (_, allowed, spoil, code) => {
    const spoiled = rows.map((row) => row.slice());
    spoil(spoiled[1]!);
    const constraint = (): ToyConstraint =>
      new ToyConstraint(VOCAB, ({ length }) => (length === 1 ? allowed : undefined));
    const bench = new Bench(gpu.device, VOCAB, 'float32');
    const [one, other] = [constraint(), constraint()];
    await expect(bench.sampleConstrained(spoiled, one, GREEDY, NONE, 0)).rejects.toMatchObject({ code });
    bench.close();
    const sampler = new CpuSampler(GREEDY, NONE, 0);
    expect(() => sampleConstrained(spoiled, other, sampler)).toThrow(expect.objectContaining({ code }));
    expect(one.accepted).toHaveLength(1);
    expect(other.accepted).toEqual(one.accepted);
  });

  test('a mask shorter than the vocabulary allows nothing beyond its end, even after a longer one', async () => {
    const bench = new Bench(gpu.device, VOCAB, 'float32');
    const all = new Uint32Array(VOCAB / 32).fill(0xffffffff);
    const row = new Float32Array(VOCAB).fill(5, 64);
    const masks = (): TokenConstraint => {
      const left = [all, Uint32Array.of(0, 2)];
      return { mask: () => left[0], accept: () => void left.shift() };
    };
    const ids = [{ id: 64 }, { id: 33 }];
    expect(await bench.sampleConstrained([row, row], masks(), GREEDY, NONE, 0)).toEqual(ids);
    expect(sampleConstrained([row, row], masks(), new CpuSampler(GREEDY, NONE, 0))).toEqual(ids);
    bench.close();
  });
});

test('both round a bias to float32', async () => {
  const bench = new Bench(gpu.device, 3001, 'float32');
  const logits = new Float32Array(3001).fill(1);
  const sampled = await bench.sample([logits], BIASED, NONE, 0);
  bench.close();
  expect(sampled).toEqual([{ id: 0 }]);
  expect(new CpuSampler(BIASED, NONE, 0).sample(logits)).toEqual({ id: 0 });
});

describe('log probabilities', () => {
  test.each([0, 1, 20])('with %i likeliest tokens equal those of the CPU', async (top) => {
    const dice = new Dice(3);
    const bench = new Bench(gpu.device, 3001, 'float32');
    for (const roll of Object.values(SHAPES)) {
      const rows = Array.from({ length: MAX_STEPS }, () => Float32Array.from({ length: 3001 }, roll(dice)));
      const sampling = settings(dice, 3001);
      const sampler = new CpuSampler(sampling, Int32Array.of(5), 0, top);
      for (const [step, sampled] of (await bench.sample(rows, sampling, Int32Array.of(5), 0, top)).entries()) {
        const expected = sampler.sample(rows[step]!);
        expect(sampled.id).toBe(expected.id);
        expect(sampled.top?.map(({ id }) => id)).toEqual(expected.top?.map(({ id }) => id));
        const pairs = [[sampled, expected], ...(sampled.top ?? []).map((token, rank) => [token, expected.top![rank]!])];
        // Excluded tokens have different logits on CPU and GPU, both far below any that matters.
        for (const [ours, theirs] of pairs) {
          if ((theirs!.logprob ?? 0) > -1e20) expect(ours!.logprob ?? 0).toBeCloseTo(theirs!.logprob ?? 0, 4);
        }
      }
    }
    bench.close();
  });
});

describe('logits of a wrong kernel', () => {
  const row = (value: number, at?: number): Float32Array<ArrayBuffer> =>
    at === undefined ? new Float32Array(3001).fill(value) : new Float32Array(3001).fill(value, at, at + 1);

  test.each([
    ['one is NaN', row(NaN, 2999)],
    ['one is infinite', row(Infinity, 7)],
    ['all are minus infinity', row(-Infinity)],
    ['all are large negative numbers', row(-3e38)],
  ])('make both throw: %s', async (_, logits) => {
    const sampling = { ...settings(new Dice(1), 3001), logitBias: [] };
    const bench = new Bench(gpu.device, 3001, 'float32');
    await expect(bench.sample([row(1), logits], sampling, NONE, 0)).rejects.toThrow('no finite logits');
    expect(() => new CpuSampler(sampling, NONE, 0).sample(logits)).toThrow('no finite logits');
    bench.close();
  });

  test('minus infinity excludes a token', async () => {
    const sampling = { ...settings(new Dice(1), 3001), temperature: 0, logitBias: [] };
    const bench = new Bench(gpu.device, 3001, 'float16');
    const rows = [halves(row(-Infinity, 0)), halves(row(2, 3000))];
    expect(await bench.sample(rows, sampling, NONE, 0)).toEqual([{ id: 1 }, { id: 3000 }]);
    bench.close();
  });
});
