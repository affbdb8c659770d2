import { describe, expect, test } from 'vitest';
import type { TokenLogprob } from '../../../src/wire/job.ts';
import { TextAssembler } from '../../../worker/decode/text.ts';

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

/** The texts that come out of these tokens, one each, and the last one at the end. */
function assemble(stop: string[], tokens: (string | Uint8Array)[]): { texts: string[]; stopped: boolean } {
  const text = new TextAssembler(stop);
  const texts: string[] = [];
  for (const token of tokens) {
    texts.push(text.push(typeof token === 'string' ? encode(token) : token).text);
    if (text.stopped) return { texts, stopped: true };
  }
  texts.push(text.finish().text);
  return { texts, stopped: false };
}

describe('characters', () => {
  test('come out whole, however tokens cut them', () => {
    const [first, ...rest] = [...encode('é👍🏽')].map((byte) => Uint8Array.of(byte));
    const { texts } = assemble([], [first!, ...rest]);
    expect(texts.join('')).toBe('é👍🏽');
    expect(texts.join('|')).not.toContain('\uFFFD');
  });

  test('left unfinished at the end are dropped', () => {
    expect(assemble([], ['ok ', encode('👍').slice(0, 3)]).texts).toEqual(['ok ', '', '']);
  });

  test('that are no UTF-8 become replacement characters', () => {
    expect(assemble([], [Uint8Array.of(0xff), 'a']).texts.join('')).toBe('\uFFFDa');
  });

  test('a byte order mark is a character', () => {
    expect(assemble([], ['\uFEFFa']).texts.join('')).toBe('\uFEFFa');
  });
});

describe('stop strings', () => {
  test('end the text, also across tokens, and are not part of it', () => {
    expect(assemble(['\n\n'], ['one', '\n', '\ntwo'])).toEqual({ texts: ['one', '', ''], stopped: true });
    expect(assemble(['STOP'], ['aS', 'TO', 'Pb'])).toEqual({ texts: ['a', '', ''], stopped: true });
  });

  test('are withheld only while they could still come', () => {
    expect(assemble(['STOP'], ['aS', 'T', 'E', 'b'])).toEqual({ texts: ['a', '', 'STE', 'b', ''], stopped: false });
    expect(assemble(['STOP'], ['aSTO'])).toEqual({ texts: ['a', 'STO'], stopped: false });
  });

  test('the one that begins first wins, and one may begin inside a false start of itself', () => {
    expect(assemble(['cd', 'b'], ['abcd']).texts).toEqual(['a']);
    expect(assemble(['aab'], ['aa', 'ab', 'x'])).toEqual({ texts: ['', 'a'], stopped: true });
  });

  test('are found between the halves of a character', () => {
    const [one, two] = [encode('é').slice(0, 1), encode('é').slice(1)];
    expect(assemble(['é'], ['x', one, two])).toEqual({ texts: ['x', '', ''], stopped: true });
  });
});

describe('log probabilities', () => {
  const entry = (token: string): TokenLogprob => ({ token, logprob: -1, bytes: [...encode(token)], top: [] });

  function entries(stop: string[], tokens: string[]): string[][] {
    const text = new TextAssembler(stop);
    const given = tokens.map((token) => text.push(encode(token), entry(token)).logprobs.map((each) => each.token));
    return text.stopped ? given : [...given, text.finish().logprobs.map((each) => each.token)];
  }

  test('come with the text that they belong to', () => {
    expect(entries([], ['a', 'b'])).toEqual([['a'], ['b'], []]);
    expect(entries(['STOP'], ['a', 'S', 'T', 'x'])).toEqual([['a'], [], [], ['S', 'T', 'x'], []]);
  });

  test('of a stop string are left out; of the token in which it begins they are not', () => {
    expect(entries(['STOP'], ['a', 'bST', 'OP'])).toEqual([['a'], [], ['bST']]);
    expect(entries(['STOP'], ['a', 'ST', 'OP'])).toEqual([['a'], [], []]);
  });
});
