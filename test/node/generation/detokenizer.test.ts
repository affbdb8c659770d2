import { describe, expect, test } from 'vitest';
import { type TextPiece, Detokenizer } from '../../../worker/generation/detokenizer.ts';

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

/** The text pieces of each token, and of the end. */
function assemble(
  stop: string[],
  tokens: (string | Uint8Array)[],
  { includeStop = false, minTokens = 0 } = {},
): { texts: string[]; stopped: boolean } {
  const text = new Detokenizer(stop, includeStop);
  const texts: string[] = [];
  for (const [index, token] of tokens.entries()) {
    texts.push(text.push(typeof token === 'string' ? encode(token) : token, undefined, index >= minTokens).text);
    if (text.stopped) return { texts, stopped: true };
  }
  texts.push(text.finish().text);
  return { texts, stopped: false };
}

describe('characters', () => {
  test('are emitted whole, even if tokens split them', () => {
    const [first, ...rest] = [...encode('é👍🏽')].map((byte) => Uint8Array.of(byte));
    const { texts } = assemble([], [first!, ...rest]);
    expect(texts.join('')).toBe('é👍🏽');
    expect(texts.join('|')).not.toContain('\uFFFD');
  });

  test('that are unfinished at the end are dropped', () => {
    expect(assemble([], ['ok ', encode('👍').slice(0, 3)]).texts).toEqual(['ok ', '', '']);
    expect(assemble(['STOP'], ['ok ', encode('👍').slice(0, 3), 'STOP']).texts).toEqual(['ok ', '', '']);
  });

  test('that are not valid UTF-8 become replacement characters', () => {
    expect(assemble([], [Uint8Array.of(0xff), 'a']).texts.join('')).toBe('\uFFFDa');
  });

  test('include the byte order mark', () => {
    expect(assemble([], ['\uFEFFa']).texts.join('')).toBe('\uFEFFa');
  });
});

describe('stop strings', () => {
  test('end the text, also across tokens, and are not part of the text', () => {
    expect(assemble(['\n\n'], ['one', '\n', '\ntwo'])).toEqual({ texts: ['one', '', ''], stopped: true });
    expect(assemble(['STOP'], ['aS', 'TO', 'Pb'])).toEqual({ texts: ['a', '', ''], stopped: true });
  });

  test('withhold text only while it could be their start', () => {
    expect(assemble(['STOP'], ['aS', 'T', 'E', 'b'])).toEqual({ texts: ['a', '', 'STE', 'b', ''], stopped: false });
    expect(assemble(['STOP'], ['aSTO'])).toEqual({ texts: ['a', 'STO'], stopped: false });
  });

  test('the first occurrence of any wins, also after an incomplete one', () => {
    expect(assemble(['cd', 'b'], ['abcd']).texts).toEqual(['a']);
    expect(assemble(['aab'], ['aa', 'ab', 'x'])).toEqual({ texts: ['', 'a'], stopped: true });
  });

  test('the one that is complete first wins, as if each character were a token', () => {
    expect(assemble(['abcd', 'b'], ['abcd']).texts).toEqual(['a']);
    expect(assemble(['cd', 'abcd'], ['abcd']).texts).toEqual(['']);
  });

  test('are part of the text if they are included, and what is behind them is not', () => {
    const includeStop = true;
    expect(assemble(['STOP'], ['aS', 'TO', 'Pb'], { includeStop }).texts.join('')).toBe('aSTOP');
    expect(assemble(['é'], ['x', ...Array.from(encode('éy'), (byte) => Uint8Array.of(byte))], { includeStop })).toEqual(
      {
        texts: ['x', '', 'é'],
        stopped: true,
      },
    );
    expect(assemble(['abcd', 'b'], ['abcd'], { includeStop }).texts).toEqual(['ab']);
  });

  test('count only if they end behind the shortest answer, wherever they start', () => {
    const minTokens = 2;
    expect(assemble(['b'], ['ab', 'b', 'a', 'cb'], { minTokens }).texts.join('')).toBe('abbac');
    expect(assemble(['bc'], ['a', 'b', 'c'], { minTokens })).toEqual({ texts: ['a', '', ''], stopped: true });
    expect(assemble(['aa'], ['a', 'a', 'a'], { minTokens }).texts.join('')).toBe('a');
    expect(assemble(['aa'], ['aa', 'b', 'b'], { minTokens }).texts.join('')).toBe('aabb');
  });

  test('are found between the halves of a character', () => {
    const [one, two] = [encode('é').slice(0, 1), encode('é').slice(1)];
    expect(assemble(['é'], ['x', one, two])).toEqual({ texts: ['x', '', ''], stopped: true });
  });
});

describe('log probabilities', () => {
  const scores = { logprob: -1, top: [] };

  /** The pieces of each token, and of the end. */
  function pieces(stop: string[], tokens: (string | Uint8Array)[]): TextPiece[] {
    const text = new Detokenizer(stop);
    const emitted: TextPiece[] = [];
    for (const token of tokens) {
      emitted.push(text.push(typeof token === 'string' ? encode(token) : token, scores));
      if (text.stopped) return emitted;
    }
    return [...emitted, text.finish()];
  }

  const entries = (stop: string[], tokens: (string | Uint8Array)[]): string[][] =>
    pieces(stop, tokens).map(({ logprobs }) => logprobs.map(({ token }) => token));

  test('are emitted with the text of their tokens', () => {
    expect(entries([], ['a', 'b'])).toEqual([['a'], ['b'], []]);
    expect(entries(['STOP'], ['a', 'S', 'T', 'x'])).toEqual([['a'], [], [], ['S', 'T', 'x'], []]);
  });

  test('of a stop string are left out; the token in which it starts is cut', () => {
    expect(entries(['STOP'], ['a', 'bST', 'OP'])).toEqual([['a'], [], ['b']]);
    expect(entries(['STOP'], ['a', 'ST', 'OP'])).toEqual([['a'], [], []]);
  });

  test('of a character in several tokens: the last token has its text', () => {
    const [one, two, three, four] = Array.from(encode('👍'), (byte) => Uint8Array.of(byte));
    expect(entries([], ['a', one!, two!, three!, four!])).toEqual([['a'], [], [], [], ['', '', '', '👍'], []]);
    expect(entries([], ['a', one!, two!])).toEqual([['a'], [], [], []]);
    expect(entries([], [Uint8Array.of(0x61, 0xc3), 'b'])).toEqual([[], ['a', '\uFFFDb'], []]);
  });

  test('tokens and bytes, joined, equal the text, for random tokens and ends', () => {
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
      const emitted = pieces(stops[next(stops.length)]!, tokens);
      const text = emitted.map((piece) => piece.text).join('');
      const logprobs = emitted.flatMap((piece) => piece.logprobs);
      expect(logprobs.map(({ token }) => token).join(''), `seed ${seed}`).toBe(text);
      const bytes = Uint8Array.from(logprobs.flatMap((entry) => entry.bytes));
      expect(new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes), `seed ${seed}`).toBe(text);
      checked += text.length;
    }
    expect(checked).toBeGreaterThan(2000);
  });
});
