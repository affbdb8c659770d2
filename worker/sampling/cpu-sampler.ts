import { NearsightError } from '../../src/protocol/errors.ts';
import type { Sampling } from '../../src/protocol/job.ts';
import { exp2Negative } from './fixed-point.ts';
import { answerKey, sampleKey, gumbel, MAX_GUMBEL } from './gumbel.ts';
import {
  MAX_LOGIT,
  NEGLIGIBLE,
  type SamplerParams,
  samplerParams,
  TOP_P_ALL,
  UNITS_PER_BIT,
} from './sampler-params.ts';
import { isAllowed, unsatisfiable } from './token-constraint.ts';
import { TopTokens } from './top-k.ts';

/** A token and the natural logarithm of its probability under the model alone. */
export interface ScoredToken {
  id: number;
  logprob: number;
}

/** A sampled token; with its log probability and the likeliest tokens, if they were requested. */
export interface SampledToken {
  id: number;
  logprob?: number | undefined;
  top?: ScoredToken[] | undefined;
}

/** What a sampler needs to know about an answer. */
export type AnswerParams = ConstructorParameters<typeof CpuSampler>;

/**
 * Samples the tokens of one answer from their logits, in float32, in this order:
 *
 * 0. constraint: tokens that its mask does not allow are excluded;
 * 1. bias: `logitBias` is added;
 * 2. repetition penalty: the logits of tokens in prompt or answer are divided by it if positive, else multiplied;
 * 3. frequency and presence penalty: `count * frequency + presence` is subtracted for each token that occurs `count > 0`
 *    times in the answer so far (the prompt does not count);
 * 4. temperature: logits are divided by it; at 0 (or below 1e-5, where the quotients overflow) the largest logit wins, the
 *    lowest id among equals, and the remaining steps are skipped;
 * 5. top-k: keeps the `topK` largest, and those equal to the last of them;
 * 6. top-p: of these, keeps the likeliest whose probabilities (softmax over the result of top-k) first sum to `topP`, and
 *    those equal to the last of them;
 * 7. min-p: keeps those that are at least `minP` times as likely as the likeliest;
 * 8. sample: the largest logit plus Gumbel noise of (seed, choice, step, id) wins, which is a sample from the softmax.
 *
 * A shader must sample the same tokens (worker/webgpu/gpu-sampler.ts). So from step 4 on logits are in bits, steps 5 to 7
 * compare integers (how many 2^-15 bits a logit is below the largest), and sums are of integers: the order of summation
 * does not matter. If any of steps 5 to 7 is on, tokens less than 2^-32 times as likely as the likeliest are excluded.
 *
 * Log probabilities are those of the model, before step 1, so that they do not depend on the parameters.
 */
export class CpuSampler {
  readonly #params: SamplerParams;
  readonly #bias: Sampling['logitBias'];
  readonly #key: number;
  readonly #topLogprobs: number | undefined;
  readonly #counts = new Map<number, number>();
  readonly #seen: Set<number>;
  /** Adjusted logits, and how far they are below the largest: a vocabulary's, which are not allocated for each token. */
  #adjusted = new Float32Array();
  #below = new Uint32Array();
  #step = 0;

  /**
   * @param sampling with a seed
   * @param prompt ids that the repetition penalty counts
   * @param choice index of the answer among those of its request, from 0
   * @param topLogprobs how many of the likeliest tokens to report with each token; absent: no log probabilities
   */
  constructor(sampling: Sampling & { seed: number }, prompt: Int32Array, choice: number, topLogprobs?: number) {
    this.#params = samplerParams(sampling);
    this.#bias = sampling.logitBias;
    this.#key = answerKey(sampling.seed, choice);
    this.#topLogprobs = topLogprobs;
    this.#seen = new Set(sampling.repetitionPenalty === 1 ? [] : prompt);
  }

  /**
   * Samples the next token. `logits` is not changed.
   *
   * @param mask of a `TokenConstraint`
   * @throws NearsightError `internal` if logits are not finite, `constraint_unsatisfiable` if the mask allows no token
   */
  sample(logits: Float32Array, mask?: Uint32Array): SampledToken {
    const { largest, withinLimits } = scan(logits);
    const id = this.#changes(mask) || !withinLimits ? this.#choose(this.#adjust(logits, withinLimits, mask)) : largest;
    this.count(id);
    return this.#topLogprobs === undefined ? { id } : { id, ...logprobsOf(logits, id, this.#topLogprobs) };
  }

  /** Counts a token of the answer that was not sampled. */
  count(id: number): void {
    this.#step++;
    this.#seen.add(id);
    this.#counts.set(id, (this.#counts.get(id) ?? 0) + 1);
  }

  /** Whether the likeliest token may be another than that of the model's logits. */
  #changes(mask: Uint32Array | undefined): boolean {
    const { greedy, repetition, frequency, presence } = this.#params;
    return !greedy || !!mask || this.#bias.length > 0 || repetition !== 1 || frequency !== 0 || presence !== 0;
  }

  /** Steps 0 to 4. */
  #adjust(logits: Float32Array, withinLimits: boolean, mask: Uint32Array | undefined): Float32Array {
    const { greedy, scale, repetition, inverseRepetition, frequency, presence } = this.#params;
    if (this.#adjusted.length !== logits.length) this.#adjusted = new Float32Array(logits.length);
    const out = this.#adjusted;
    out.set(logits);
    if (!withinLimits) clamp(out);
    if (mask) constrain(out, mask);
    for (const [id, bias] of this.#bias) out[id] = at(out, id) + Math.fround(bias);
    if (repetition !== 1) {
      for (const id of this.#seen) out[id] = at(out, id) * (at(out, id) > 0 ? inverseRepetition : repetition);
    }
    if (frequency !== 0 || presence !== 0) {
      for (const [id, count] of this.#counts) {
        out[id] = at(out, id) - Math.fround(Math.fround(count * frequency) + presence);
      }
    }
    if (!greedy) for (let id = 0; id < out.length; id++) out[id] = at(out, id) * scale;
    return out;
  }

  /** Steps 4 to 8. */
  #choose(logits: Float32Array): number {
    const largest = argmax(logits);
    if (this.#params.greedy) return largest;
    const key = sampleKey(this.#key, this.#step);
    const max = at(logits, largest);
    const maxBelow = this.#params.filters ? this.#maxBelow(logits, max) : Infinity;
    let sampled = largest;
    let best = Math.fround(max + gumbel(key, largest));
    for (let id = 0; id < logits.length; id++) {
      const logit = at(logits, id);
      // Computing the noise is slow, and most tokens could not win with the largest possible noise.
      if (logit + MAX_GUMBEL < best || (this.#params.filters && unitsBelow(max, logit) > maxBelow)) continue;
      const noisy = Math.fround(logit + gumbel(key, id));
      if (noisy > best || (noisy === best && id < sampled)) {
        best = noisy;
        sampled = id;
      }
    }
    return sampled;
  }

  /** How far below the largest logit tokens may be to pass top-k, top-p and min-p. */
  #maxBelow(logits: Float32Array, max: number): number {
    const { topK, topP, maxBelow } = this.#params;
    if (topK === 0 && topP === TOP_P_ALL) return maxBelow;
    if (this.#below.length !== logits.length) this.#below = new Uint32Array(logits.length);
    const below = this.#below;
    for (let id = 0; id < logits.length; id++) below[id] = unitsBelow(max, at(logits, id));
    const top = new TopTokens(below);
    if (topK === 0) {
      const needed = share(top.total, topP);
      return Math.min(maxBelow, nucleus(top.bySum(needed), needed));
    }
    const likeliest = top.byCount(topK);
    const last = likeliest[topK - 1] ?? NEGLIGIBLE - 1;
    if (topP === TOP_P_ALL) return Math.min(maxBelow, last);
    const kept = likeliest.filter((units) => units <= last);
    const total = kept.reduce((sum, units) => sum + exp2Negative(units), 0);
    return Math.min(maxBelow, last, nucleus(kept, share(total, topP)));
  }
}

/** The id of the largest logit, the lowest among equals. */
export function argmax(logits: Float32Array): number {
  let best = 0;
  let largest = -Infinity;
  for (let id = 0; id < logits.length; id++) {
    const logit = at(logits, id);
    if (logit > largest) {
      largest = logit;
      best = id;
    }
  }
  return best;
}

/**
 * What one pass over the logits tells: the id of the largest, the lowest among equals, and whether all are within the limits
 * that they are clamped to.
 *
 * @throws NearsightError `internal` if a logit is NaN or infinite, or if all are minus infinity: a kernel was wrong, and
 *   any answer from such logits would be as well
 */
function scan(logits: Float32Array): { largest: number; withinLimits: boolean } {
  let largest = 0;
  let max = -Infinity;
  let min = Infinity;
  for (let id = 0; id < logits.length; id++) {
    const logit = at(logits, id);
    // Written so that NaN does not pass.
    if (!(logit < Infinity)) throw notFinite();
    if (logit > max) {
      max = logit;
      largest = id;
    }
    if (logit < min) min = logit;
  }
  if (!(max > -MAX_LOGIT)) throw notFinite();
  return { largest, withinLimits: min >= -MAX_LOGIT && max <= MAX_LOGIT };
}

function clamp(logits: Float32Array): void {
  for (let id = 0; id < logits.length; id++) {
    logits[id] = Math.max(-MAX_LOGIT, Math.min(MAX_LOGIT, at(logits, id)));
  }
}

/** Excludes tokens that are not allowed: minus infinity stays minus infinity in all later steps. */
function constrain(logits: Float32Array, mask: Uint32Array): void {
  let satisfiable = false;
  for (let id = 0; id < logits.length; id++) {
    if (isAllowed(mask, id)) satisfiable ||= at(logits, id) > -MAX_LOGIT;
    else logits[id] = -Infinity;
  }
  if (!satisfiable) throw unsatisfiable();
}

export function notFinite(): NearsightError {
  return new NearsightError('internal', 'The model gave no finite logits.');
}

/** How far a logit is below the largest, in units of 2^-15 bits. */
function unitsBelow(largest: number, logit: number): number {
  const bits = Math.fround(largest - logit);
  return bits < 32 ? Math.floor(bits * UNITS_PER_BIT) : NEGLIGIBLE;
}

/** The share `topP` / 65536 of a sum, rounded down. */
function share(total: number, topP: number): number {
  // The product has up to 62 bits, more than a number can hold.
  return Number((BigInt(total) * BigInt(topP)) >> 16n);
}

/**
 * The cutoff of top-p: the distance below the largest logit at which the summed probabilities reach `needed`.
 *
 * @param likeliest the tokens' units below the largest logit, ascending
 */
function nucleus(likeliest: Uint32Array, needed: number): number {
  let sum = 0;
  return likeliest.find((units) => (sum += exp2Negative(units)) >= needed) ?? NEGLIGIBLE;
}

function logprobsOf(logits: Float32Array, id: number, count: number): { logprob: number; top: ScoredToken[] } {
  const largest = at(logits, argmax(logits));
  const sum = logits.reduce((total, logit) => total + Math.exp(logit - largest), 0);
  const logprob = (token: number): number => at(logits, token) - largest - Math.log(sum);
  const top = count === 0 ? [] : topIds(logits, count).map((token) => ({ id: token, logprob: logprob(token) }));
  return { logprob: logprob(id), top };
}

/** The `count` largest, by descending logit and then ascending id. */
function topIds(logits: Float32Array, count: number): number[] {
  // Sorting numbers is native and fast, sorting ids by a function is not: drop those below the count-th largest first.
  const threshold = at(logits.slice().sort(), Math.max(0, logits.length - count));
  const ids: number[] = [];
  for (let id = 0; id < logits.length; id++) if (at(logits, id) >= threshold) ids.push(id);
  return ids.sort((a, b) => at(logits, b) - at(logits, a) || a - b).slice(0, count);
}

/** An element at an index within bounds. */
function at(values: Float32Array | Uint32Array, index: number): number {
  return values[index] ?? -Infinity;
}
