import { NearsightError } from '../../src/protocol/errors.ts';
import type { Sampling } from '../../src/protocol/job.ts';
import { isAllowed, unsatisfiable } from './token-constraint.ts';
import { exp2Negative } from './fixed-point.ts';
import { answerKey, sampleKey, gumbel, MAX_NOISE } from './gumbel.ts';
import { Ranking } from './top-k.ts';
import {
  MOST as MAX_LOGIT,
  OUT_OF_SIGHT,
  type Recipe as SamplerParams,
  recipe as samplerParams,
  TOP_P_ALL,
  UNITS,
} from './sampler-params.ts';

/** A token and the natural logarithm of its probability under the model alone. */
export interface ScoredToken {
  id: number;
  logprob: number;
}

/** A drawn token; scored, with the likeliest ones beside it, if log probabilities were asked for. */
export interface SampledToken {
  id: number;
  logprob?: number | undefined;
  top?: ScoredToken[] | undefined;
}

/**
 * Draws the tokens of one answer from their logits, in float32, in this order:
 *
 * 0. constraint: of the tokens that its mask leaves, if there is one, and of no others;
 * 1. bias: `logitBias` is added;
 * 2. repetition penalty: the logits of tokens in prompt or answer are divided by it if positive, else multiplied;
 * 3. frequency and presence penalty: `count * frequency + presence` is subtracted for each token that the answer so
 *    far holds `count > 0` times (the prompt does not count);
 * 4. temperature: logits are divided by it; at 0 (or below 1e-5, where the quotients overflow) the largest one wins, the
 *    lowest id among equals, and no more is done;
 * 5. top-k: the `topK` largest stay, and those that equal the last of them;
 * 6. top-p: of these, the likeliest ones stay whose probabilities (softmax over what top-k left) first sum to `topP`,
 *    and those that equal the last of them;
 * 7. min-p: those stay that are at least `minP` times as likely as the likeliest;
 * 8. draw: the largest logit plus Gumbel noise of (seed, choice, step, id), which is a draw from their softmax.
 *
 * A shader must come to the same tokens (worker/webgpu/gpu-sampler.ts), so from step 4 on logits are in bits, steps 5 to 7
 * compare whole 2^-15 bits below the largest, and sums are of integers: no order of summation enters. If any of these
 * steps is on, tokens less than 2^-32 times as likely as the likeliest never come.
 *
 * Log probabilities are those of the model itself, before step 1, so that they do not depend on the settings.
 */
export class CpuSampler {
  readonly #params: SamplerParams;
  readonly #bias: Sampling['logitBias'];
  readonly #key: number;
  readonly #topLogprobs: number | undefined;
  readonly #counts = new Map<number, number>();
  readonly #seen: Set<number>;
  #step = 0;

  /**
   * @param sampling with a seed
   * @param prompt ids that the repetition penalty looks at
   * @param choice which of a request's answers this is, from 0
   * @param topLogprobs how many likeliest tokens to report with each; absent: no log probabilities
   */
  constructor(sampling: Sampling & { seed: number }, prompt: Int32Array, choice: number, topLogprobs?: number) {
    this.#params = samplerParams(sampling);
    this.#bias = sampling.logitBias;
    this.#key = answerKey(sampling.seed, choice);
    this.#topLogprobs = topLogprobs;
    this.#seen = new Set(sampling.repetitionPenalty === 1 ? [] : prompt);
  }

  /**
   * The next token. `logits` is left as it was.
   *
   * @param mask of a `TokenConstraint`
   * @throws NearsightError `internal` if logits are not finite, `constraint_unsatisfiable` if the mask leaves no token
   */
  sample(logits: Float32Array, mask?: Uint32Array): SampledToken {
    const id = this.#choose(this.#adjusted(logits, mask));
    this.#step++;
    this.#seen.add(id);
    this.#counts.set(id, (this.#counts.get(id) ?? 0) + 1);
    return this.#topLogprobs === undefined ? { id } : { id, ...score(logits, id, this.#topLogprobs) };
  }

  /** Steps 0 to 4. */
  #adjusted(logits: Float32Array, mask: Uint32Array | undefined): Float32Array {
    const { greedy, scale, repetition, inverseRepetition, frequency, presence } = this.#params;
    const out = finite(logits);
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
    const floor = this.#params.filters ? this.#furthest(logits) : Infinity;
    const peak = at(logits, largest);
    let drawn = largest;
    let best = Math.fround(peak + gumbel(key, largest));
    for (let id = 0; id < logits.length; id++) {
      const logit = at(logits, id);
      // Noise is dear over a whole vocabulary, and most tokens could not win with the largest there is.
      if (logit + MAX_NOISE < best || (this.#params.filters && distance(peak, logit) > floor)) continue;
      const noisy = Math.fround(logit + gumbel(key, id));
      if (noisy > best || (noisy === best && id < drawn)) {
        best = noisy;
        drawn = id;
      }
    }
    return drawn;
  }

  /** How far from the likeliest are those that top-k, top-p and min-p leave. */
  #furthest(logits: Float32Array): number {
    const { topK, topP, furthest } = this.#params;
    if (topK === 0 && topP === TOP_P_ALL) return furthest;
    const ranking = new Ranking(distancesOf(logits));
    if (topK === 0)
      return Math.min(
        furthest,
        nucleus(ranking.total, topP, (needed) => ranking.bySum(needed)),
      );
    const near = ranking.byCount(topK);
    const last = near[topK - 1] ?? OUT_OF_SIGHT - 1;
    const kept = near.subarray(0, upTo(near, last));
    const total = kept.reduce((sum, each) => sum + exp2Negative(each), 0);
    return Math.min(
      furthest,
      last,
      nucleus(total, topP, () => kept),
    );
  }
}

/** @throws NearsightError `invalid_request` if a biased id is not in the vocabulary */
export function checkBias({ logitBias }: Sampling, vocab: number): void {
  const outside = logitBias.find(([id]) => id < 0 || id >= vocab);
  if (!outside) return;
  const message = `logit_bias names token ${outside[0]}, but this model's ids end at ${vocab - 1}.`;
  throw new NearsightError('invalid_request', message, { param: 'logit_bias' });
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
 * A copy to work in.
 *
 * @throws NearsightError if there is a value that is no number or infinite, or if all are minus infinity: such come
 *   from kernels gone wrong, and no answer is better than theirs
 */
function finite(logits: Float32Array): Float32Array {
  let usable = false;
  // A loop, because `map` takes three times as long, and this is done for every token on wasm.
  const out = new Float32Array(logits.length);
  for (let id = 0; id < logits.length; id++) {
    const logit = at(logits, id);
    // Put so that what is no number does not pass.
    if (!(logit < Infinity)) throw notFinite();
    usable ||= logit > -MAX_LOGIT;
    out[id] = logit > MAX_LOGIT ? MAX_LOGIT : logit < -MAX_LOGIT ? -MAX_LOGIT : logit;
  }
  if (!usable) throw notFinite();
  return out;
}

/** Takes tokens out that may not come: nothing that is done to minus infinity brings it back. */
function constrain(logits: Float32Array, mask: Uint32Array): void {
  let left = false;
  for (let id = 0; id < logits.length; id++) {
    if (isAllowed(mask, id)) left ||= at(logits, id) > -MAX_LOGIT;
    else logits[id] = -Infinity;
  }
  if (!left) throw unsatisfiable();
}

export function notFinite(): NearsightError {
  return new NearsightError('internal', 'The model gave no finite logits.');
}

/** How far a logit is below the largest, in units of 2^-15 bits. */
function distance(largest: number, logit: number): number {
  const bits = Math.fround(largest - logit);
  return bits < 32 ? Math.floor(bits * UNITS) : OUT_OF_SIGHT;
}

function distancesOf(logits: Float32Array): Uint32Array {
  const largest = at(logits, argmax(logits));
  const distances = new Uint32Array(logits.length);
  for (let id = 0; id < logits.length; id++) distances[id] = distance(largest, at(logits, id));
  return distances;
}

/** How many of the ascending `values` are `last` or less. */
function upTo(values: Uint32Array, last: number): number {
  const beyond = values.findLastIndex((value) => value <= last);
  return beyond + 1;
}

/**
 * The last distance that it takes for probabilities to sum to `share`, in 65536ths, of `total`.
 *
 * @param nearest gives the distances in ascending order, as many as it takes to sum to what is needed
 */
function nucleus(total: number, share: number, nearest: (needed: number) => Uint32Array): number {
  if (share === TOP_P_ALL) return OUT_OF_SIGHT;
  // The product has up to 62 bits, more than a number holds.
  const needed = Number((BigInt(total) * BigInt(share)) >> 16n);
  let sum = 0;
  return nearest(needed).find((each) => (sum += exp2Negative(each)) >= needed) ?? OUT_OF_SIGHT;
}

function score(logits: Float32Array, id: number, count: number): { logprob: number; top: ScoredToken[] } {
  const largest = at(logits, argmax(logits));
  const sum = logits.reduce((total, logit) => total + Math.exp(logit - largest), 0);
  const logprob = (token: number): number => at(logits, token) - largest - Math.log(sum);
  const top = count === 0 ? [] : likeliest(logits, count).map((token) => ({ id: token, logprob: logprob(token) }));
  return { logprob: logprob(id), top };
}

/** The `count` largest, by falling logit and then by rising id. */
function likeliest(logits: Float32Array, count: number): number[] {
  // Sorting numbers is native and fast, sorting ids by a function is not: drop those below the count-th largest first.
  const threshold = at(logits.slice().sort(), Math.max(0, logits.length - count));
  const ids: number[] = [];
  for (let id = 0; id < logits.length; id++) if (at(logits, id) >= threshold) ids.push(id);
  return ids.sort((a, b) => at(logits, b) - at(logits, a) || a - b).slice(0, count);
}

/** A value that is known to be there. */
function at(values: Float32Array | Uint32Array, index: number): number {
  return values[index] ?? -Infinity;
}
