import { describe, expect, test } from 'vitest';
import { GREEDY as UNSEEDED, type Sampling } from '../../../src/protocol/job.ts';
import { CpuSampler } from '../../../worker/sampling/cpu-sampler.ts';

type Seeded = Sampling & { seed: number };

const GREEDY: Seeded = { ...UNSEEDED, seed: 7 };
const PLAIN: Seeded = { ...GREEDY, temperature: 1 };
const NONE = new Int32Array(0);

function sampler(sampling: Partial<Seeded>, prompt: Int32Array = NONE, choice = 0): CpuSampler {
  return new CpuSampler({ ...PLAIN, ...sampling }, prompt, choice);
}

/** Eight logits of no particular pattern, two of them equal. */
const LOGITS = Float32Array.of(1.5, -0.3, 2.25, 0.1, 2.25, -1.75, 0.9, 0);

/** How often each id comes first in `draws` fresh answers. */
function histogram(sampling: Partial<Seeded>, logits: Float32Array, draws: number): number[] {
  const counts = Array.from(logits, () => 0);
  const drawing = sampler(sampling);
  for (let step = 0; step < draws; step++) counts[drawing.sample(logits).id]!++;
  return counts;
}

/** What step 4 to 7 of the documentation leave of the softmax, written down plainly in double precision. */
function expected(logits: Float32Array, { temperature, topK, topP, minP }: Sampling): number[] {
  const scaled = Array.from(logits, (logit) => logit / temperature);
  const ids = [...scaled.keys()].sort((a, b) => scaled[b]! - scaled[a]! || a - b);
  const kept = ids.filter((id) => scaled[id]! >= scaled[ids[(topK || ids.length) - 1]!]!);
  const weight = (id: number): number => Math.exp(scaled[id]!);
  const total = kept.reduce((sum, id) => sum + weight(id), 0);
  let cumulative = 0;
  const last = kept.find((id) => (cumulative += weight(id)) >= topP * total) ?? kept.at(-1)!;
  const nucleus = kept.filter((id) => scaled[id]! >= scaled[last]!);
  const final = nucleus.filter((id) => weight(id) >= minP * weight(ids[0]!));
  const sum = final.reduce((all, id) => all + weight(id), 0);
  return scaled.map((_, id) => (final.includes(id) ? weight(id) / sum : 0));
}

describe('drawing', () => {
  test.each<[string, Partial<Seeded>]>([
    ['plain softmax', {}],
    ['a low temperature', { temperature: 0.4 }],
    ['a high temperature', { temperature: 2.5 }],
    ['top-k that would cut between equals', { topK: 1 }],
    ['top-k', { topK: 3 }],
    ['top-p', { topP: 0.7 }],
    ['top-p that would cut between equals', { topP: 0.2 }],
    ['top-p after top-k', { topK: 5, topP: 0.8 }],
    ['min-p', { minP: 0.3 }],
    ['all of them', { temperature: 1.3, topK: 6, topP: 0.9, minP: 0.15 }],
  ])('%s gives the documented distribution', (_, sampling) => {
    const draws = 10_000;
    const shares = expected(LOGITS, { ...PLAIN, ...sampling });
    const counts = histogram(sampling, LOGITS, draws);
    let chiSquared = 0;
    for (const [id, share] of shares.entries()) {
      if (share === 0) expect(counts[id]).toBe(0);
      else chiSquared += (counts[id]! - share * draws) ** 2 / (share * draws);
    }
    // 99.9 % point for seven degrees of freedom; fewer only make it stricter to exceed. Seeds are fixed: never flaky.
    expect(chiSquared).toBeLessThan(24.3);
  });

  test('over a whole vocabulary, rare tokens come as often as they should', () => {
    const logits = Float32Array.from({ length: 10_000 }, (_, id) => (id < 10 ? 5 : -3));
    const draws = 1_000;
    const drawn = sampler({});
    let common = 0;
    for (let step = 0; step < draws; step++) if (drawn.sample(logits).id < 10) common++;
    const share = (10 * Math.exp(5)) / (10 * Math.exp(5) + 9_990 * Math.exp(-3));
    expect(Math.abs(common / draws - share)).toBeLessThan(4 * Math.sqrt((share * (1 - share)) / draws));
  });

  test('a seed repeats itself; another seed, choice or step does not', () => {
    const draw = (seed: number, choice = 0): number[] => {
      const drawing = sampler({ seed }, NONE, choice);
      return Array.from({ length: 60 }, () => drawing.sample(LOGITS).id);
    };
    expect(draw(1)).toEqual(draw(1));
    expect(draw(1)).not.toEqual(draw(2));
    expect(draw(1)).not.toEqual(draw(1, 1));
    expect(draw(2 ** 40 + 1)).not.toEqual(draw(1));
    expect(draw(-1)).not.toEqual(draw(1));
    expect(new Set(draw(1)).size).toBeGreaterThan(3);
  });
});

describe('greedy', () => {
  test('takes the lowest id among the largest', () => {
    expect(new CpuSampler(GREEDY, NONE, 0).sample(LOGITS)).toEqual({ id: 2 });
  });

  test('does not look at top-k, top-p and min-p', () => {
    expect(sampler({ temperature: 0, topK: 1, topP: 0.01, minP: 1 }).sample(LOGITS).id).toBe(2);
  });

  test('refuses logits of which none is finite', () => {
    expect(() => sampler({}).sample(new Float32Array(4).fill(NaN))).toThrow('no finite logits');
  });
});

describe('penalties, by hand', () => {
  test('bias comes before the repetition penalty', () => {
    // 1.0 + 3 = 4, in the prompt: 4 / 2 = 2, under 2.25. The other order, 1 / 2 + 3, would win.
    const drawn = sampler({ temperature: 0, logitBias: [[0, 3]], repetitionPenalty: 2 }, Int32Array.of(0));
    expect(drawn.sample(Float32Array.of(1, 0, 2.25)).id).toBe(2);
  });

  test('the repetition penalty divides positive logits and multiplies negative ones, of prompt and answer', () => {
    const logits = Float32Array.of(3, 2, -1, -1.5);
    // 3 / 2 = 1.5: token 1 wins; then 2 / 2 = 1 and token 0 is ahead again.
    const drawn = sampler({ temperature: 0, repetitionPenalty: 2 }, Int32Array.of(0));
    expect([drawn.sample(logits).id, drawn.sample(logits).id]).toEqual([1, 0]);
    // -1 * 2 = -2: token 1 wins.
    expect(
      sampler({ temperature: 0, repetitionPenalty: 2 }, Int32Array.of(0)).sample(Float32Array.of(-1, -1.5)).id,
    ).toBe(1);
  });

  test('the frequency penalty counts the answer, not the prompt', () => {
    const drawn = sampler({ temperature: 0, frequencyPenalty: 0.5 }, Int32Array.of(0, 0, 0, 0));
    // 0: 2, 1.5, 1, …; 1: 1.2, 0.7; 2: 0.6
    const logits = Float32Array.of(2, 1.2, 0.6);
    expect(Array.from({ length: 5 }, () => drawn.sample(logits).id)).toEqual([0, 0, 1, 0, 1]);
  });

  test('the presence penalty is the same for one occurrence and for many', () => {
    const drawn = sampler({ temperature: 0, presencePenalty: 0.5 });
    const logits = Float32Array.of(2, 1.4, 1.3);
    expect(Array.from({ length: 4 }, () => drawn.sample(logits).id)).toEqual([0, 0, 0, 0]);
    const second = sampler({ temperature: 0, presencePenalty: 0.7 });
    expect(Array.from({ length: 4 }, () => second.sample(logits).id)).toEqual([0, 1, 0, 0]);
  });

  test('a bias is the float32 that the GPU adds', () => {
    // A little more than half the distance from 1 to the next float32; rounded to one, just half, which changes nothing.
    const bias = 2 ** -24 + 2 ** -50;
    expect(sampler({ temperature: 0, logitBias: [[1, bias]] }).sample(Float32Array.of(1, 1)).id).toBe(0);
  });

  test('logits are left as they were', () => {
    const logits = LOGITS.slice();
    sampler({ logitBias: [[1, 4]], repetitionPenalty: 1.3, presencePenalty: 1 }, Int32Array.of(1)).sample(logits);
    expect(logits).toEqual(LOGITS);
  });
});

describe('log probabilities', () => {
  test('are those of the model, whatever the settings', () => {
    const logits = Float32Array.of(Math.log(0.5), Math.log(0.3), Math.log(0.2));
    const bias: Partial<Seeded> = { temperature: 0, logitBias: [[2, 5]], repetitionPenalty: 3 };
    const { id, logprob, top } = new CpuSampler({ ...PLAIN, ...bias }, Int32Array.of(0), 0, 2).sample(logits);
    expect(id).toBe(2);
    expect(logprob).toBeCloseTo(Math.log(0.2), 6);
    expect(top?.map((token) => token.id)).toEqual([0, 1]);
    expect(top?.[0]?.logprob).toBeCloseTo(Math.log(0.5), 6);
  });
});
