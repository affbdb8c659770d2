import { NearsightError } from '../../src/protocol/errors.ts';
import type { ChatJob, TokenRules } from '../../src/protocol/job.ts';
import { both, type TokenConstraint } from './token-constraint.ts';

/** What the rules need to know of a model. */
export interface Vocabulary {
  /** Number of token ids. */
  vocab: number;
  /** The model's end tokens. */
  stopIds: readonly number[];
  /** Encodes plain text. */
  encode: (text: string) => number[];
}

/** @throws NearsightError `invalid_request` with the field that names a token id which is not in the vocabulary */
export function checkTokenIds({ sampling, rules = {} }: Pick<ChatJob, 'sampling' | 'rules'>, vocab: number): void {
  const named = {
    logit_bias: sampling.logitBias.map(([id]) => id),
    allowed_token_ids: rules.allowed ?? [],
    stop_token_ids: rules.stopIds ?? [],
  };
  for (const [param, ids] of Object.entries(named)) {
    const outside = ids.find((id) => id < 0 || id >= vocab);
    if (outside === undefined) continue;
    const message = `${param} names token ${outside}, but this model's ids end at ${vocab - 1}.`;
    throw new NearsightError('invalid_request', message, { param });
  }
}

/** Makes the constraint of each answer to a request; undefined if its rules allow every token at any time. */
export function constraintOf(rules: TokenRules, model: Vocabulary): (() => TokenConstraint) | undefined {
  const { allowed, minTokens = 0, stopIds = [], badWords = [] } = rules;
  const { vocab } = model;
  const makers: (() => TokenConstraint)[] = [];
  if (allowed) {
    const constraint = allowing(allowed, vocab);
    makers.push(() => constraint);
  }
  if (minTokens > 0) {
    const constraint = withoutUntil(minTokens, [...model.stopIds, ...stopIds], vocab);
    makers.push(() => constraint);
  }
  if (badWords.length > 0) {
    const spelled = spellings(badWords, model.encode);
    makers.push(() => new WithoutWords(spelled, vocab));
  }
  const [first, ...others] = makers;
  return first && (() => others.reduce((one, make) => both(one, make()), first()));
}

/** Allows these tokens alone. */
function allowing(ids: readonly number[], vocab: number): TokenConstraint {
  const mask = new Uint32Array(Math.ceil(vocab / 32));
  for (const id of ids) allow(mask, id);
  return { byIndex: true, mask: () => mask, accept() {} };
}

/** Forbids tokens as long as the answer has fewer than `count`. */
function withoutUntil(count: number, ids: readonly number[], vocab: number): TokenConstraint {
  const mask = all(vocab);
  for (const id of ids) forbid(mask, id);
  return { byIndex: true, mask: (index) => (index < count ? mask : undefined), accept() {} };
}

/**
 * The tokens of each text at the start of a word and within one. vLLM leaves out the form with a space if it has another
 * number of tokens: then `banana` as one token with its space, and two without, is still generated after a space.
 */
function spellings(texts: readonly string[], encode: Vocabulary['encode']): number[][] {
  return texts.flatMap((text) => {
    // A text of nothing but white space is itself.
    const word = text.trimStart() || text;
    // A text without tokens cannot be generated.
    return [word, ` ${word}`].map(encode).filter(({ length }) => length > 0);
  });
}

/** Forbids the last token of each word after its others. Words in the prompt do not count. */
class WithoutWords implements TokenConstraint {
  readonly byIndex: boolean;
  readonly #longer: readonly (readonly number[])[];
  readonly #mask: Uint32Array;
  /** Tokens that the mask forbids only now. */
  #forbidden: number[] = [];
  readonly #answer: number[] = [];

  constructor(words: readonly (readonly number[])[], vocab: number) {
    const single = new Set(words.flatMap((ids) => (ids.length === 1 ? ids : [])));
    this.#mask = all(vocab);
    for (const id of single) forbid(this.#mask, id);
    this.#longer = words.filter((ids) => ids.length > 1 && !single.has(ids.at(-1) ?? NaN));
    this.byIndex = this.#longer.length === 0;
  }

  mask(): Uint32Array {
    for (const id of this.#forbidden) allow(this.#mask, id);
    this.#forbidden = this.#longer.flatMap((word) => (this.#isBefore(word) ? word.slice(-1) : []));
    for (const id of this.#forbidden) forbid(this.#mask, id);
    return this.#mask;
  }

  accept(id: number): void {
    this.#answer.push(id);
  }

  /** Whether the answer ends with all but the last token of a word. */
  #isBefore(word: readonly number[]): boolean {
    const start = this.#answer.length - (word.length - 1);
    return start >= 0 && word.every((id, at) => at === word.length - 1 || id === this.#answer[start + at]);
  }
}

/** A mask that allows all tokens. */
function all(vocab: number): Uint32Array {
  return new Uint32Array(Math.ceil(vocab / 32)).fill(2 ** 32 - 1);
}

function allow(mask: Uint32Array, id: number): void {
  mask[id >>> 5] = (mask[id >>> 5] ?? 0) | (1 << (id & 31));
}

function forbid(mask: Uint32Array, id: number): void {
  mask[id >>> 5] = (mask[id >>> 5] ?? 0) & ~(1 << (id & 31));
}
