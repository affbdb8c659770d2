import type { Sampling } from '../../src/protocol/job.ts';

/** Temperatures under this are taken for 0, as vLLM does. */
const GREEDY_BELOW = 1e-5;

/** Logits are held within this size, so that nothing that is done to them overflows. */
export const MOST = 1e24;

/** How much less likely than the likeliest a token is, is measured in 2^-15 bits; at 32 bits it is out of sight. */
export const UNITS = 2 ** 15;
export const OUT_OF_SIGHT = 32 * UNITS;

/** {@link SamplerParams.topP} where top-p filters nothing. */
export const TOP_P_ALL = 2 ** 16;

/** A request's sampling as the numbers that drawing needs, all of which float32 or 32-bit integers hold exactly. */
export interface Recipe {
  greedy: boolean;
  /** What logits are multiplied with: bits per nat, over the temperature. */
  scale: number;
  repetition: number;
  /** What positive logits of seen tokens are multiplied with. */
  inverseRepetition: number;
  frequency: number;
  presence: number;
  /** 0: all. */
  topK: number;
  /** In 65536ths; {@link TOP_P_ALL}: all. */
  topP: number;
  /** What min-p leaves, as the furthest distance from the likeliest; {@link OUT_OF_SIGHT}: all, without limit. */
  furthest: number;
  /** True if top-k, top-p or min-p have work to do. */
  filters: boolean;
}

export function recipe(sampling: Sampling): Recipe {
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
    furthest: minP > 0 ? Math.min(OUT_OF_SIGHT - 1, Math.floor(-Math.log2(minP) * UNITS)) : OUT_OF_SIGHT - 1,
    filters: !greedy && (topK !== 0 || topP !== 1 || minP !== 0),
  };
}
