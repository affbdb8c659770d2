import { describe, expect, test } from 'vitest';
import { type TextPiece, Detokenizer } from '../../../worker/generation/detokenizer.ts';

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

/** The texts that come out of these tokens, one each, and the last one at the end. */
function assemble(stop: string[], tokens: (string | Uint8Array)[]): { texts: string[]; stopped: boolean } {
  const text = new Detokenizer(stop);
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
    expect(assemble(['STOP'], ['ok ', encode('👍').slice(0, 3), 'STOP']).texts).toEqual(['ok ', '', '']);
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
  const scores = { logprob: -1, top: [] };

  /** What comes out with each token, and at the end. */
  function pieces(stop: string[], tokens: (string | Uint8Array)[]): TextPiece[] {
    const text = new Detokenizer(stop);
    const given: TextPiece[] = [];
    for (const token of tokens) {
      given.push(text.push(typeof token === 'string' ? encode(token) : token, scores));
      if (text.stopped) return given;
    }
    return [...given, text.finish()];
  }

  const entries = (stop: string[], tokens: (string | Uint8Array)[]): string[][] =>
    pieces(stop, tokens).map(({ logprobs }) => logprobs.map(({ token }) => token));

  test('come with the text that they belong to', () => {
    expect(entries([], ['a', 'b'])).toEqual([['a'], ['b'], []]);
    expect(entries(['STOP'], ['a', 'S', 'T', 'x'])).toEqual([['a'], [], [], ['S', 'T', 'x'], []]);
  });

  test('of a stop string are left out; the token in which it begins counts as far as it is shown', () => {
    expect(entries(['STOP'], ['a', 'bST', 'OP'])).toEqual([['a'], [], ['b']]);
    expect(entries(['STOP'], ['a', 'ST', 'OP'])).toEqual([['a'], [], []]);
  });

  test('of a character in several tokens: the token that completes it has it', () => {
    const [one, two, three, four] = Array.from(encode('👍'), (byte) => Uint8Array.of(byte));
    expect(entries([], ['a', one!, two!, three!, four!])).toEqual([['a'], [], [], [], ['', '', '', '👍'], []]);
    expect(entries([], ['a', one!, two!])).toEqual([['a'], [], [], []]);
    expect(entries([], [Uint8Array.of(0x61, 0xc3), 'b'])).toEqual([[], ['a', '\uFFFDb'], []]);
  });

  test('joined, tokens and bytes are the text, however it is cut and wherever it ends', () => {
    const whole = encode('\uFEFFé, 👍🏽 and \uFEFF你好: aab STOP é');
    const stops = [[], ['STOP'], ['é'], ['aab', '好'], ['👍🏽 or'], ['P é!']];
    const broken = Uint8Array.of(...encode('a'), 0xff, 0xe0, 0x80, ...encode('b'), 0xc3, ...encode('STOP'), 0xf0);
    let checked = 0;
    for (let seed = 1; seed <= 400; seed++) {
      let state = seed;
      const next = (below: number): number => (state = (state * 48271) % 2147483647) % below;
      const source = next(4) === 0 ? broken : whole;
      const tokens: Uint8Array[] = [];
      for (let at = 0, end = 1 + next(source.length); at < end; at += tokens.at(-1)!.length) {
        tokens.push(source.slice(at, Math.min(end, at + 1 + next(6))));
      }
      const given = pieces(stops[next(stops.length)]!, tokens);
      const text = given.map((piece) => piece.text).join('');
      const logprobs = given.flatMap((piece) => piece.logprobs);
      expect(logprobs.map(({ token }) => token).join(''), `seed ${seed}`).toBe(text);
      const bytes = Uint8Array.from(logprobs.flatMap((each) => each.bytes));
      expect(new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes), `seed ${seed}`).toBe(text);
      checked += text.length;
    }
    expect(checked).toBeGreaterThan(2000);
  });
});
