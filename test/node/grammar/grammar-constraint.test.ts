import { describe, expect, test } from 'vitest';
import { GrammarConstraint, TokenMasks, type Vocabulary } from '../../../worker/grammar/grammar-constraint.ts';
import { Grammar } from '../../../worker/grammar/grammar-chunk.ts';
import { compileChoice } from '../../../worker/grammar/choice.ts';
import { compileJsonSchema } from '../../../worker/grammar/json-schema.ts';
import { buildTokenTrie } from '../../../worker/grammar/token-trie.ts';
import { isAllowed, type TokenConstraint } from '../../../worker/sampling/token-constraint.ts';

const encoder = new TextEncoder();

/** A vocabulary of these texts; the last id ends an answer. */
function vocabularyOf(tokens: readonly string[]): Vocabulary {
  const bytes = (id: number): Uint8Array => encoder.encode(tokens[id] ?? '');
  return { bytes, encode: () => [], stopIds: [tokens.length], trie: buildTokenTrie(bytes, tokens.length + 1) };
}

const tokens = ['', 'a', 'ab', 'abc', 'b', ' ', ' a', ' ab', 'c', '{', '"', '": ', 'é', '\u00e9\u00e9', 'abcabc'];
const END = tokens.length;

/** The tokens that may come next, as texts. */
function allowed(constraint: TokenConstraint): string[] {
  const mask = constraint.mask(0) ?? new Uint32Array(1);
  return [...tokens, 'END'].filter((_, id) => isAllowed(mask, id));
}

function constraintOf(texts: readonly string[]): TokenConstraint {
  return new GrammarConstraint(new TokenMasks(compileChoice(texts), vocabularyOf(tokens), 'guided_choice'), () => {});
}

describe('masks', () => {
  test('tokens that continue the text, and the end where it may end', () => {
    const constraint = constraintOf(['ab', 'abc', 'b']);
    expect(allowed(constraint)).toEqual(['a', 'ab', 'abc', 'b', ' ', ' a', ' ab']);
    constraint.accept(2);
    expect(allowed(constraint)).toEqual(['c', 'END']);
    constraint.accept(8);
    expect(allowed(constraint)).toEqual(['END']);
  });

  test('the space before the first word is not part of the text', () => {
    const constraint = constraintOf(['a a']);
    constraint.accept(6);
    expect(allowed(constraint)).toEqual([' ', ' a']);
    const alone = constraintOf(['a']);
    alone.accept(5);
    expect(allowed(alone)).toEqual(['a']);
  });

  test('tokens without a text never', () => {
    expect(allowed(constraintOf(['']))).toEqual([' ', 'END']);
  });

  test('parts of characters', () => {
    const constraint = constraintOf(['éé']);
    expect(allowed(constraint)).toEqual([' ', 'é', 'éé']);
  });

  test('equal those that each token gives by itself', () => {
    const machine = compileJsonSchema({ type: 'object', properties: { ab: { type: 'string' } }, required: ['ab'] });
    const vocabulary = vocabularyOf(tokens);
    const masks = new TokenMasks(machine, vocabulary, 'schema');
    let state = machine.initial;
    for (const byte of encoder.encode('{"ab": "x"}')) {
      const mask = masks.maskOf(state, false);
      for (const [id, token] of tokens.entries()) {
        const after = encoder.encode(token).reduce((at, next) => machine.transition(at, next), state);
        expect(isAllowed(mask, id), `${token} in state ${machine.maskKey?.(state)}`).toBe(
          token !== '' && machine.viable(after),
        );
      }
      expect(isAllowed(mask, END)).toBe(machine.accepting(state));
      state = machine.transition(state, byte);
    }
    expect(isAllowed(masks.maskOf(state, false), END)).toBe(true);
  });
});

describe('a grammar', () => {
  const vocabulary = vocabularyOf(tokens);

  test('names the field and what cannot be enforced', () => {
    const grammar = new Grammar(vocabulary, END + 1);
    const param = 'response_format.json_schema.schema';
    const open = (): unknown => grammar.open({ type: 'json', schema: { not: {} }, param }, true);
    expect(open).toThrow(
      expect.objectContaining({
        code: 'unsupported_schema',
        param,
        message: `${param}: 'not' at # cannot be enforced: the keyword is not known here. Remove it, or check the answer yourself.`,
      }),
    );
  });

  test('is compiled once for the same request, unless it must not be kept', () => {
    const grammar = new Grammar(vocabulary, END + 1);
    const wanted = { type: 'choice', texts: ['a'], param: 'guided_choice' } as const;
    expect(grammar.open(wanted, false)).not.toBe(grammar.open(wanted, true));
    expect(grammar.open(wanted, true)).toBe(grammar.open(wanted, true));
  });

  test('an answer that is not what it must be is a defect', () => {
    const check = (text: string): void => {
      throw new Error(`checked ${text}`);
    };
    const constraint = new GrammarConstraint(new TokenMasks(compileChoice(['a']), vocabulary, 'guided_choice'), check);
    constraint.accept(6);
    expect(() => constraint.accept(END)).toThrow('checked a');
  });
});
