import type { Sampling } from '../../src/protocol/job.ts';

/** Lower temperatures count as 0, as in vLLM. */
const GREEDY_BELOW = 1e-5;

/** Logits are clamped to this size, so that no rule overflows. */
export const MAX_LOGIT = 1e24;

/** Filters compare how far logits are below the largest, in units of 2^-15 bits. From 32 bits on tokens are negligible. */
export const UNITS_PER_BIT = 2 ** 15;
export const NEGLIGIBLE = 32 * UNITS_PER_BIT;

/** {@link SamplerParams.topP} if top-p filters nothing. */
export const TOP_P_ALL = 2 ** 16;

/** A request's sampling parameters as numbers that float32 or 32-bit integers hold exactly. */
export interface SamplerParams {
  greedy: boolean;
  /** Factor of all logits: bits per nat, divided by the temperature. */
  scale: number;
  repetition: number;
  /** Factor of the positive logits of seen tokens. */
  inverseRepetition: number;
  frequency: number;
  presence: number;
  /** 0: all. */
  topK: number;
  /** In 65536ths; {@link TOP_P_ALL}: all. */
  topP: number;
  /** The min-p filter: how far below the largest logit tokens may be. Without min-p, just below {@link NEGLIGIBLE}. */
  maxBelow: number;
  /** True if top-k, top-p or min-p filter anything. */
  filters: boolean;
}

export function samplerParams(sampling: Sampling): SamplerParams {
  const { temperature, topK, topP, minP, repetitionPenalty } = sampling;
  const greedy = temperature < GREEDY_BELOW;
  return {
    greedy,
    scale: greedy ? 1 : Math.fround(Math.LOG2E / temperature),
    repetition: Math.fround(repetitionPenalty),
    inverseRepetition: Math.fround(Math.min(1 / repetitionPenalty, 1e6)),
    frequency: Math.fround(sampling.frequencyPenalty),
    presence: Math.fround(sampling.presencePenalty),
    topK,
    topP: Math.round(topP * TOP_P_ALL),
    maxBelow: minP > 0 ? Math.min(NEGLIGIBLE - 1, Math.floor(-Math.log2(minP) * UNITS_PER_BIT)) : NEGLIGIBLE - 1,
    filters: !greedy && (topK !== 0 || topP !== 1 || minP !== 0),
  };
}
