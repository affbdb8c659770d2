import { NearsightError } from '../../src/wire/error.ts';
import type { Sampling } from '../../src/wire/job.ts';
import { drawKey, gumbel, MOST_NOISE } from './noise.ts';

/** A token and the natural logarithm of its probability under the model alone. */
export interface Scored {
  id: number;
  logprob: number;
}

/** A drawn token; scored, with the likeliest ones beside it, if log probabilities were asked for. */
export interface Drawn {
  id: number;
  logprob?: number | undefined;
  top?: Scored[] | undefined;
}

/** Temperatures under this are taken for 0, as vLLM does. */
const GREEDY_BELOW = 1e-5;

/**
 * Draws the tokens of one answer from their logits, in float32, in this order:
 *
 * 1. bias: `logitBias` is added;
 * 2. repetition penalty: the logits of tokens in prompt or answer are divided by it if positive, else multiplied;
 * 3. frequency and presence penalty: `count * frequency + presence` is subtracted for each token that the answer so
 *    far holds `count > 0` times (the prompt does not count);
 * 4. temperature: logits are divided by it; at 0 (or below 1e-5, where the quotients overflow) the largest one wins, the
 *    lowest id among equals, and no more is done;
 * 5. top-k: the `topK` largest stay (of equals, the lower ids);
 * 6. top-p: of these, the likeliest ones stay whose probabilities (softmax over what top-k left) first sum to `topP`;
 * 7. min-p: those stay that are at least `minP` times as likely as the likeliest;
 * 8. draw: the largest logit plus Gumbel noise of (seed, choice, step, id), which is a draw from their softmax.
 *
 * Log probabilities are those of the model itself, before step 1, so that they do not depend on the settings.
 */
export class Sampler {
  readonly #sampling: Sampling & { seed: number };
  readonly #choice: number;
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
    this.#sampling = sampling;
    this.#choice = choice;
    this.#topLogprobs = topLogprobs;
    this.#seen = new Set(sampling.repetitionPenalty === 1 ? [] : prompt);
  }

  /** The next token. `logits` is left as it was. */
  draw(logits: Float32Array): Drawn {
    const id = this.#choose(this.#adjusted(logits));
    this.#step++;
    this.#seen.add(id);
    this.#counts.set(id, (this.#counts.get(id) ?? 0) + 1);
    return this.#topLogprobs === undefined ? { id } : { id, ...score(logits, id, this.#topLogprobs) };
  }

  #adjusted(logits: Float32Array): Float32Array {
    const { logitBias, repetitionPenalty, frequencyPenalty, presencePenalty } = this.#sampling;
    const out = logits.slice();
    for (const [id, bias] of logitBias) out[id] = at(out, id) + bias;
    if (repetitionPenalty !== 1) {
      for (const id of this.#seen) {
        const logit = at(out, id);
        out[id] = logit > 0 ? logit / repetitionPenalty : logit * repetitionPenalty;
      }
    }
    if (frequencyPenalty !== 0 || presencePenalty !== 0) {
      for (const [id, count] of this.#counts) {
        out[id] = at(out, id) - Math.fround(Math.fround(count * frequencyPenalty) + presencePenalty);
      }
    }
    return out;
  }

  #choose(logits: Float32Array): number {
    const { temperature, seed } = this.#sampling;
    const largest = argmax(logits);
    // Infinities and values that are no numbers come from kernels gone wrong: refuse rather than answer.
    if (!Number.isFinite(at(logits, largest))) throw new NearsightError('internal', 'The model gave no finite logits.');
    if (temperature < GREEDY_BELOW) return largest;
    const inverse = Math.fround(1 / temperature);
    for (let id = 0; id < logits.length; id++) logits[id] = at(logits, id) * inverse;
    const key = drawKey(seed, this.#choice, this.#step);
    let drawn = largest;
    let best = Math.fround(at(logits, largest) + gumbel(key, largest));
    for (const id of this.#kept(logits)) {
      // Noise is dear over a whole vocabulary, and most tokens could not win with the largest there is.
      if (at(logits, id) + MOST_NOISE < best) continue;
      const noisy = Math.fround(at(logits, id) + gumbel(key, id));
      if (noisy > best || (noisy === best && id < drawn)) {
        best = noisy;
        drawn = id;
      }
    }
    return drawn;
  }

  /** The ids that top-k, top-p and min-p leave, in ascending order or by falling logit. */
  #kept(logits: Float32Array): Iterable<number> {
    const { topK, topP, minP } = this.#sampling;
    if (topK === 0 && topP === 1 && minP === 0) return logits.keys();
    const largest = at(logits, argmax(logits));
    const floor = minP > 0 ? Math.fround(largest + Math.log(minP)) : -Infinity;
    if (topK === 0 && topP === 1) return atLeast(logits, floor);
    const ids = likeliest(logits, topK || logits.length);
    return nucleus(logits, ids, topP).filter((id) => at(logits, id) >= floor);
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

/** The `count` largest, by falling logit and then by rising id. */
function likeliest(logits: Float32Array, count: number): number[] {
  const order = (a: number, b: number): number => at(logits, b) - at(logits, a) || a - b;
  if (count >= logits.length) return [...logits.keys()].sort(order);
  // Sorting numbers is native and fast, sorting ids by a function is not: drop those below the count-th largest first.
  const threshold = at(logits.slice().sort(), logits.length - count);
  return atLeast(logits, threshold).sort(order).slice(0, count);
}

/** The ids whose logit is `floor` or more, ascending. */
function atLeast(logits: Float32Array, floor: number): number[] {
  const ids: number[] = [];
  for (let id = 0; id < logits.length; id++) if (at(logits, id) >= floor) ids.push(id);
  return ids;
}

/** The shortest beginning of `ids`, which fall in likelihood, whose probabilities sum to at least `share`. */
function nucleus(logits: Float32Array, ids: number[], share: number): number[] {
  if (share === 1) return ids;
  const largest = at(logits, ids[0] ?? 0);
  const weights = ids.map((id) => Math.exp(at(logits, id) - largest));
  const needed = share * weights.reduce((sum, weight) => sum + weight, 0);
  let sum = 0;
  const end = weights.findIndex((weight) => (sum += weight) >= needed);
  return end < 0 ? ids : ids.slice(0, end + 1);
}

function score(logits: Float32Array, id: number, count: number): { logprob: number; top: Scored[] } {
  const largest = at(logits, argmax(logits));
  const sum = logits.reduce((total, logit) => total + Math.exp(logit - largest), 0);
  const logprob = (token: number): number => at(logits, token) - largest - Math.log(sum);
  const top = count === 0 ? [] : likeliest(logits, count).map((token) => ({ id: token, logprob: logprob(token) }));
  return { logprob: logprob(id), top };
}

/** A logit that is known to be there. */
function at(logits: Float32Array, id: number): number {
  return logits[id] ?? -Infinity;
}
