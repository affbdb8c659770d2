import { describe, expect, test } from 'vitest';
import type { TokenRules } from '../../../src/protocol/job.ts';
import { constraintOf } from '../../../worker/sampling/token-rules.ts';
import { both, isAllowed, type TokenConstraint } from '../../../worker/sampling/token-constraint.ts';
import { glimpseTokenizer } from '../families/glimpse-tokenizer.ts';
import { idsWhere, maskOf, ToyConstraint } from './toy-constraint.ts';

const VOCAB = 1280;
const END = 1279;
const tokenizer = glimpseTokenizer();
const model = { vocab: VOCAB, stopIds: [END], encode: (text: string): number[] => tokenizer.encode(text) };

function made(rules: TokenRules): TokenConstraint {
  const make = constraintOf(rules, model);
  if (!make) throw new Error('no constraint');
  return make();
}

/** What may not follow these tokens. */
function forbiddenAfter(constraint: TokenConstraint, ...answer: number[]): number[] {
  for (const id of answer) constraint.accept(id);
  const mask = constraint.mask(answer.length);
  return idsWhere(VOCAB, (id) => mask !== undefined && !isAllowed(mask, id));
}

describe('the constraint of the rules', () => {
  test('is absent if every token is allowed at any time', () => {
    expect(constraintOf({}, model)).toBeUndefined();
    expect(
      constraintOf({ badWords: [], minTokens: 0, ignoreEos: true, stopIds: [3], includeStop: true }, model),
    ).toBeUndefined();
  });

  test('allows the listed tokens alone, at every index, the end token only if it is listed', () => {
    const constraint = made({ allowed: [3, 64, 3] });
    expect(constraint.byIndex).toBe(true);
    for (const index of [0, 1, 99]) expect(constraint.mask(index)).toEqual(maskOf([3, 64], VOCAB));
  });

  test('forbids end and stop tokens until the answer is long enough', () => {
    const constraint = made({ minTokens: 2, stopIds: [3, 40], ignoreEos: true });
    expect(constraint.byIndex).toBe(true);
    expect(forbiddenAfter(constraint)).toEqual([3, 40, END]);
    expect(forbiddenAfter(constraint, 7)).toEqual([3, 40, END]);
    expect(constraint.mask(2)).toBeUndefined();
  });

  test('is what all rules allow', () => {
    const constraint = made({ allowed: [3, END, 5], minTokens: 1, stopIds: [5] });
    expect(constraint.byIndex).toBe(true);
    expect(constraint.mask(0)).toEqual(maskOf([3], VOCAB));
    expect(constraint.mask(1)).toEqual(maskOf([3, 5, END], VOCAB));
  });
});

describe('bad words', () => {
  /** A letter is a token with a space and without, also by itself. */
  const single = [...tokenizer.encode('a'), ...tokenizer.encode(' a')].toSorted((a, b) => a - b);
  const word = 'qxzq';
  const [within, start] = [tokenizer.encode(word), tokenizer.encode(` ${word}`)];

  test('of one token are forbidden everywhere, with and without a space, so the mask is constant', () => {
    expect(single).toHaveLength(2);
    const constraint = made({ badWords: ['a'] });
    expect(constraint.byIndex).toBe(true);
    expect(forbiddenAfter(constraint)).toEqual(single);
    expect(forbiddenAfter(constraint, ...single)).toEqual(single);
    expect(forbiddenAfter(made({ badWords: ['  a'] }))).toEqual(single);
  });

  test('of several tokens are forbidden at their last one, behind the others', () => {
    const constraint = made({ badWords: [word] });
    expect(within.length).toBeGreaterThan(2);
    expect(constraint.byIndex).toBe(false);
    expect(forbiddenAfter(constraint)).toEqual([]);
    expect(forbiddenAfter(constraint, ...within.slice(0, -1))).toEqual(within.slice(-1));
    // Another token instead: the word has to start over.
    expect(forbiddenAfter(constraint, 7)).toEqual([]);
    expect(forbiddenAfter(constraint, ...within.slice(1, -1))).toEqual([]);
    expect(forbiddenAfter(constraint, ...start.slice(0, -1))).toEqual(start.slice(-1));
  });

  test('do not lift each other, where they end with the same token', () => {
    const last = word.slice(-1);
    const constraint = made({ badWords: [word, last] });
    expect(forbiddenAfter(constraint, ...within.slice(0, -1))).toContain(within.at(-1));
    expect(forbiddenAfter(constraint, 7)).toContain(within.at(-1));
  });

  test('of different answers are counted apart', () => {
    const make = constraintOf({ badWords: [word] }, model)!;
    const [one, other] = [make(), make()];
    expect(forbiddenAfter(one, ...within.slice(0, -1))).toEqual(within.slice(-1));
    expect(forbiddenAfter(other)).toEqual([]);
  });

  test('of white space are forbidden as they are', () => {
    const newline = tokenizer.encode('\n');
    expect(forbiddenAfter(made({ badWords: ['\n'] }), ...newline.slice(0, -1))).toContain(newline.at(-1));
  });

  test('that have no tokens cannot be generated', () => {
    const none = { ...model, encode: (): number[] => [] };
    expect(constraintOf({ badWords: ['\u0001'] }, none)?.().byIndex).toBe(true);
  });
});

describe('two constraints', () => {
  const toy = (...ids: number[]): ToyConstraint =>
    new ToyConstraint(VOCAB, ({ length }) => (length < 2 ? ids : undefined));

  test('allow what both allow, and are told of each token', () => {
    const [one, other] = [toy(1, 2, 64), toy(2, 64, 700)];
    const constraint = both(one, other);
    expect(constraint.byIndex).toBeFalsy();
    expect(constraint.mask(0)).toEqual(maskOf([2, 64], VOCAB));
    constraint.accept(2);
    constraint.accept(64);
    expect([one.accepted, other.accepted]).toEqual([
      [2, 64],
      [2, 64],
    ]);
    expect(constraint.mask(2)).toBeUndefined();
  });

  test('use one array for all masks, of which a shorter one allows nothing behind its end', () => {
    const short = { mask: () => Uint32Array.of(0b110), accept: () => {} };
    const constraint = both(toy(1, 64), short);
    const first = constraint.mask(0);
    expect(first).toEqual(maskOf([1], VOCAB));
    expect(constraint.mask(1)).toBe(first);
  });

  test('with one that allows every token are the other', () => {
    const free = { mask: () => undefined, accept: () => {} };
    expect(both(toy(1), free).mask(0)).toEqual(maskOf([1], VOCAB));
    expect(both(free, free).mask(0)).toBeUndefined();
  });
});
