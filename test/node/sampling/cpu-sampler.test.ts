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

/** Eight logits without a pattern, two of them equal. */
const LOGITS = Float32Array.of(1.5, -0.3, 2.25, 0.1, 2.25, -1.75, 0.9, 0);

/** How often each id is sampled in `count` steps. */
function histogram(sampling: Partial<Seeded>, logits: Float32Array, count: number): number[] {
  const counts = Array.from(logits, () => 0);
  const answer = sampler(sampling);
  for (let step = 0; step < count; step++) counts[answer.sample(logits).id]!++;
  return counts;
}

/** The probabilities after steps 4 to 7 of the documentation, computed in double precision. */
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

describe('sampling', () => {
  test.each<[string, Partial<Seeded>]>([
    ['plain softmax', {}],
    ['a low temperature', { temperature: 0.4 }],
    ['a high temperature', { temperature: 2.5 }],
    ['top-k with a tie at its end', { topK: 1 }],
    ['top-k', { topK: 3 }],
    ['top-p', { topP: 0.7 }],
    ['top-p with a tie at its end', { topP: 0.2 }],
    ['top-p after top-k', { topK: 5, topP: 0.8 }],
    ['min-p', { minP: 0.3 }],
    ['all of them', { temperature: 1.3, topK: 6, topP: 0.9, minP: 0.15 }],
  ])('%s gives the documented distribution', (_, sampling) => {
    const steps = 10_000;
    const shares = expected(LOGITS, { ...PLAIN, ...sampling });
    const counts = histogram(sampling, LOGITS, steps);
    let chiSquared = 0;
    for (const [id, share] of shares.entries()) {
      if (share === 0) expect(counts[id]).toBe(0);
      else chiSquared += (counts[id]! - share * steps) ** 2 / (share * steps);
    }
    // 99.9 % point for seven degrees of freedom; fewer make it harder to exceed. Seeds are fixed, so it is never flaky.
    expect(chiSquared).toBeLessThan(24.3);
  });

  test('rare tokens of a large vocabulary are sampled with their probability', () => {
    const logits = Float32Array.from({ length: 10_000 }, (_, id) => (id < 10 ? 5 : -3));
    const steps = 1_000;
    const answer = sampler({});
    let common = 0;
    for (let step = 0; step < steps; step++) if (answer.sample(logits).id < 10) common++;
    const share = (10 * Math.exp(5)) / (10 * Math.exp(5) + 9_990 * Math.exp(-3));
    expect(Math.abs(common / steps - share)).toBeLessThan(4 * Math.sqrt((share * (1 - share)) / steps));
  });

  test('the same seed gives the same tokens; another seed, choice or step does not', () => {
    const idsOf = (seed: number, choice = 0): number[] => {
      const answer = sampler({ seed }, NONE, choice);
      return Array.from({ length: 60 }, () => answer.sample(LOGITS).id);
    };
    expect(idsOf(1)).toEqual(idsOf(1));
    expect(idsOf(1)).not.toEqual(idsOf(2));
    expect(idsOf(1)).not.toEqual(idsOf(1, 1));
    expect(idsOf(2 ** 40 + 1)).not.toEqual(idsOf(1));
    expect(idsOf(-1)).not.toEqual(idsOf(1));
    expect(new Set(idsOf(1)).size).toBeGreaterThan(3);
  });
});

describe('greedy', () => {
  test('takes the lowest id of equal logits', () => {
    expect(new CpuSampler(GREEDY, NONE, 0).sample(LOGITS)).toEqual({ id: 2 });
  });

  test('ignores top-k, top-p and min-p', () => {
    expect(sampler({ temperature: 0, topK: 1, topP: 0.01, minP: 1 }).sample(LOGITS).id).toBe(2);
  });

  test('logits beyond the limit are equal', () => {
    expect(new CpuSampler(GREEDY, NONE, 0).sample(Float32Array.of(0, 2e24, 3e24)).id).toBe(1);
  });

  test.each([GREEDY, PLAIN])('throws if a logit is no number or infinite, or no logit is finite', (sampling) => {
    const sample = (...logits: number[]): number =>
      new CpuSampler(sampling, NONE, 0).sample(Float32Array.of(...logits)).id;
    for (const wrong of [NaN, Infinity]) expect(() => sample(0, 1, wrong, 0)).toThrow('no finite logits');
    expect(() => sample(-Infinity, -Infinity)).toThrow('no finite logits');
    expect(sample(-Infinity, 1)).toBe(1);
  });
});

test('a token does not depend on the logits of the one before', () => {
  const mask = Uint32Array.of(0b01110111);
  const steps = [
    { logits: LOGITS, mask },
    { logits: Float32Array.from(LOGITS, (logit) => -logit) },
    { logits: LOGITS.toReversed(), mask },
  ];
  for (const sampling of [GREEDY, { ...GREEDY, logitBias: [[1, 3]] as const }, { ...PLAIN, topK: 4, topP: 0.9 }]) {
    const answer = new CpuSampler(sampling, NONE, 0);
    for (const [step, { logits, mask: allowed }] of steps.entries()) {
      const fresh = new CpuSampler(sampling, NONE, 0);
      for (let before = 0; before < step; before++) fresh.count(0);
      expect(answer.sample(logits, allowed).id).toBe(fresh.sample(logits, allowed).id);
    }
  }
});

describe('penalties, by hand', () => {
  test('bias comes before the repetition penalty', () => {
    // 1.0 + 3 = 4, in the prompt: 4 / 2 = 2, under 2.25. The other order, 1 / 2 + 3, would win.
    const answer = sampler({ temperature: 0, logitBias: [[0, 3]], repetitionPenalty: 2 }, Int32Array.of(0));
    expect(answer.sample(Float32Array.of(1, 0, 2.25)).id).toBe(2);
  });

  test('the repetition penalty divides positive logits and multiplies negative ones, of prompt and answer', () => {
    const logits = Float32Array.of(3, 2, -1, -1.5);
    // 3 / 2 = 1.5: token 1 wins; then 2 / 2 = 1 and token 0 is the largest again.
    const answer = sampler({ temperature: 0, repetitionPenalty: 2 }, Int32Array.of(0));
    expect([answer.sample(logits).id, answer.sample(logits).id]).toEqual([1, 0]);
    // -1 * 2 = -2: token 1 wins.
    expect(
      sampler({ temperature: 0, repetitionPenalty: 2 }, Int32Array.of(0)).sample(Float32Array.of(-1, -1.5)).id,
    ).toBe(1);
  });

  test('the frequency penalty counts the answer, not the prompt', () => {
    const answer = sampler({ temperature: 0, frequencyPenalty: 0.5 }, Int32Array.of(0, 0, 0, 0));
    // 0: 2, 1.5, 1, …; 1: 1.2, 0.7; 2: 0.6
    const logits = Float32Array.of(2, 1.2, 0.6);
    expect(Array.from({ length: 5 }, () => answer.sample(logits).id)).toEqual([0, 0, 1, 0, 1]);
  });

  test('the presence penalty does not depend on the number of occurrences', () => {
    const answer = sampler({ temperature: 0, presencePenalty: 0.5 });
    const logits = Float32Array.of(2, 1.4, 1.3);
    expect(Array.from({ length: 4 }, () => answer.sample(logits).id)).toEqual([0, 0, 0, 0]);
    const second = sampler({ temperature: 0, presencePenalty: 0.7 });
    expect(Array.from({ length: 4 }, () => second.sample(logits).id)).toEqual([0, 1, 0, 0]);
  });

  test('a bias is rounded to float32, as on the GPU', () => {
    // A little more than half the distance from 1 to the next float32. Rounded to float32, exactly half: no change.
    const bias = 2 ** -24 + 2 ** -50;
    expect(sampler({ temperature: 0, logitBias: [[1, bias]] }).sample(Float32Array.of(1, 1)).id).toBe(0);
  });

  test('logits are not changed', () => {
    const logits = LOGITS.slice();
    sampler({ logitBias: [[1, 4]], repetitionPenalty: 1.3, presencePenalty: 1 }, Int32Array.of(1)).sample(logits);
    expect(logits).toEqual(LOGITS);
  });
});

describe('log probabilities', () => {
  test('are those of the model, for all parameters', () => {
    const logits = Float32Array.of(Math.log(0.5), Math.log(0.3), Math.log(0.2));
    const bias: Partial<Seeded> = { temperature: 0, logitBias: [[2, 5]], repetitionPenalty: 3 };
    const { id, logprob, top } = new CpuSampler({ ...PLAIN, ...bias }, Int32Array.of(0), 0, 2).sample(logits);
    expect(id).toBe(2);
    expect(logprob).toBeCloseTo(Math.log(0.2), 6);
    expect(top?.map((token) => token.id)).toEqual([0, 1]);
    expect(top?.[0]?.logprob).toBeCloseTo(Math.log(0.5), 6);
  });
});
