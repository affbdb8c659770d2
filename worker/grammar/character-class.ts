import { codePoints, complement, ESCAPED_SETS, type CodePoints, type Range } from './code-points.ts';
import type { SourceReader } from './source-reader.ts';

/** The letters that stand for a code point after a backslash. */
export type EscapeLetters = Readonly<Record<string, number>>;

export const COMMON_ESCAPES: EscapeLetters = { t: 0x09, n: 0x0a, v: 0x0b, f: 0x0c, r: 0x0d };

/** How the constructs are called whose escapes are refused. */
const UNSUPPORTED: Readonly<Record<string, string>> = {
  b: 'a word boundary',
  B: 'a word boundary',
  p: 'a Unicode property',
  P: 'a Unicode property',
  k: 'a backreference',
  A: 'an anchor',
  Z: 'an anchor',
  z: 'an anchor',
};

/** Reads what follows a backslash: a code point, or the set of `\d` and the like. */
export function readEscape(reader: SourceReader, letters: EscapeLetters): number | CodePoints {
  const start = reader.position - 1;
  const letter = reader.take();
  if (letter === '') return reader.fail('A backslash with nothing after it', start);
  const value = letters[letter];
  if (value !== undefined) return value;
  const set = ESCAPED_SETS[letter];
  if (set) return set;
  if (letter === '0' && !reader.match(/\d/y)) return 0;
  if (letter === 'x') return hexadecimal(reader, start, /([\da-f]{2})/iy);
  if (letter === 'u') return unicodeEscape(reader, start);
  if (letter === 'c') {
    const control = reader.eatMatch(/[a-z]/iy)?.[0] ?? reader.fail('\\c needs a letter', start);
    return (control.codePointAt(0) ?? 0) % 32;
  }
  // Letters and digits are refused, since they may mean something in a dialect that is not supported. The rest cannot.
  if (!/[a-z\d]/i.test(letter)) return letter.codePointAt(0) ?? 0;
  const what = /\d/.test(letter) ? 'a backreference or an octal escape' : (UNSUPPORTED[letter] ?? 'an unknown escape');
  return reader.fail(`\\${letter} (${what}) is not supported`, start);
}

export function hexadecimal(reader: SourceReader, start: number, pattern: RegExp): number {
  const digits = reader.eatMatch(pattern)?.[1] ?? reader.fail('An escape without its hexadecimal digits', start);
  const value = Number.parseInt(digits, 16);
  return value <= 0x10ffff ? value : reader.fail('An escape beyond the last code point', start);
}

function unicodeEscape(reader: SourceReader, start: number): number {
  if (reader.startsWith('{')) return hexadecimal(reader, start, /\{([\da-f]+)\}/iy);
  // A surrogate pair is one code point.
  const pair = reader.eatMatch(/(d[89ab][\da-f]{2})\\u(d[c-f][\da-f]{2})/iy);
  if (!pair) return hexadecimal(reader, start, /([\da-f]{4})/iy);
  const [high = 0, low = 0] = pair.slice(1).map((digits) => Number.parseInt(digits, 16));
  return 0x10000 + ((high & 0x3ff) << 10) + (low & 0x3ff);
}

/** Reads a character class whose `[` has been read. */
export function readClass(reader: SourceReader, escape: () => number | CodePoints): CodePoints {
  const start = reader.position - 1;
  const negated = reader.eat('^');
  const ranges: Range[] = [];
  const item = () => {
    if (reader.ended) return reader.fail('The character class is not closed', start);
    return reader.eat('\\') ? escape() : reader.takeCodePoint();
  };
  while (!reader.eat(']')) {
    const at = reader.position;
    const first = item();
    const last = reader.startsWith('-') && !reader.startsWith('-]') && reader.eat('-') ? item() : undefined;
    if (last === undefined) {
      if (typeof first === 'number') ranges.push([first, first]);
      else ranges.push(...first);
    } else {
      if (typeof first !== 'number' || typeof last !== 'number') {
        return reader.fail('A range in a character class is from one character to another', at);
      }
      if (last < first) reader.fail('A range in a character class is out of order', at);
      ranges.push([first, last]);
    }
  }
  const set = codePoints(ranges);
  return negated ? complement(set) : set;
}
