import { describe, expect, test } from 'vitest';
import { GrammarError } from '../../../worker/grammar/byte-machine.ts';
import { compileRegex } from '../../../worker/grammar/regex.ts';
import { compareRegexes } from './generated-regex.ts';
import { accepts, after } from './walk.ts';

/** Texts that match, and texts that do not. */
const SUPPORTED: readonly [source: string, matching: readonly string[], other: readonly string[]][] = [
  ['', [''], ['a']],
  ['abc', ['abc'], ['', 'ab', 'abcd', 'xabc']],
  ['yes|no|', ['yes', 'no', ''], ['yesno', 'n']],
  ['a*', ['', 'aaa'], ['b', 'aab']],
  ['a+?b??', ['a', 'aab'], ['b', 'abb']],
  ['a{2}b{1,}c{0,2}', ['aab', 'aabbcc'], ['ab', 'aabccc']],
  ['a{0}', [''], ['a']],
  ['(a)(?:b)(?<x>c)(?P<y_1>d)', ['abcd'], ['abc']],
  ['(a|b(c|d)*)+', ['a', 'bcd', 'abcab'], ['c', '']],
  ['^a$', ['a'], ['^a$', '']],
  ['^a|b$|^c$', ['a', 'b', 'c'], ['ab']],
  ['(a$|b)c?', ['a', 'b', 'bc'], ['ac', '']],
  ['(?=a.c)[a-z]+(?!d)', ['abc', 'abcd'], ['abd', 'ab']],
  ['(?!.*--|-)[a-z-]{1,4}', ['a-b', 'a-'], ['-a', 'a--b', '']],
  ['(?!^(?:no|none)$)[a-z]+', ['nono', 'n', 'yes'], ['no', 'none']],
  ['.', ['a', 'é', '漢', '😀', '\0', '\u0085'], ['', '\n', '\r', '\u2028', '\u2029', 'ab']],
  ['[a-c_-]', ['a', 'b', 'c', '_', '-'], ['d', 'B', '']],
  ['[-a]', ['-', 'a'], ['b']],
  ['[\\w-]', ['-', 'a', '_', '7'], ['é', ' ']],
  ['[^a-c]', ['d', '\n', 'é', '😀'], ['a', '', 'dd']],
  ['[^]', ['d', '\n', '\u2028'], ['']],
  ['[.*+?^$(){}|[\\]\\\\/]', Array.from('.*+?^$(){}|[]\\/'), ['a']],
  ['[\\b]', ['\b'], ['b']],
  ['\\d\\D', ['1a', '7é'], ['a1', '11', '\u0661a']],
  ['\\w\\W', ['_-', 'Aé'], ['éa', 'aa']],
  ['\\s\\S', ['\ufeffx', '\u3000x', '\n.'], ['x ', '  ']],
  ['[\\d\\s][^\\D4]', ['15', ' 0'], ['14', 'a5']],
  ['\\n\\t\\r\\f\\v\\0', ['\n\t\r\f\v\0'], ['ntrfv0']],
  ['\\x41\\u0042\\u{43}\\u{1F600}\\cJ', ['ABC😀\n'], ['ABC😁\n']],
  ['\\uD83D\\uDE00', ['😀'], ['😁']],
  ['[\\uD83D\\uDE00-\\u{1F603}]', ['😀', '😃'], ['😄']],
  ['[\\ud7ff-\\ue000]', ['\ud7ff', '\ue000'], ['\ud7fe', '\ue001', '\ufffd']],
  ['\\^\\$\\\\\\.\\*\\+\\?\\(\\)\\[\\]\\{\\}\\|\\/', ['^$\\.*+?()[]{}|/'], ['']],
  // As Python has it.
  ['\\-\\"\\\'\\_\\ \\#\\&\\~\\é', ['-"\'_ #&~é'], ['']],
  ['{"a": "[a-z]+", b{x}, c{}}', ['{"a": "xyz", b{x}, c{}}'], ['{"a": ""}']],
  ['[\\u0000-\\u{10ffff}]', ['\0', '\u007f', '\u0080', '\u07ff', '\u0800', '\uffff', '😀', '\u{10ffff}'], ['']],
  ['é|漢|😀', ['é', '漢', '😀'], ['è', '😁']],
];

const REFUSED: readonly [source: string, message: string][] = [
  ['a(?=b)', 'No text matches the expression'],
  ['(?=a)*b', 'An anchor or lookahead cannot be repeated, at position 0'],
  ['a(?=^b)b', 'The anchor ^ is supported only at the start of the whole or of a top-level alternative, at position 4'],
  ['(?<=a)b', 'A lookbehind is not supported, at position 0'],
  ['(?<!a)b', 'A lookbehind is not supported, at position 0'],
  ['(?>a)', 'An atomic group is not supported, at position 0'],
  ['(?#a)', 'A comment is not supported, at position 0'],
  ['(?i)a', 'An inline flag or unknown group is not supported, at position 0'],
  ['(?i:a)', 'An inline flag or unknown group is not supported, at position 0'],
  ['(?P<a>b)(?P=a)', 'A backreference is not supported, at position 8'],
  ['(a)(?(1)b|c)', 'A conditional is not supported, at position 3'],
  ['(a)\\1', '\\1 (a backreference or an octal escape) is not supported, at position 3'],
  ['\\01', '\\0 (a backreference or an octal escape) is not supported, at position 0'],
  ['(?<a>b)\\k<a>', '\\k (a backreference) is not supported, at position 7'],
  ['\\bword\\b', '\\b (a word boundary) is not supported, at position 0'],
  ['a\\Bb', '\\B (a word boundary) is not supported, at position 1'],
  ['\\p{L}', '\\p (a Unicode property) is not supported, at position 0'],
  ['[\\P{L}]', '\\P (a Unicode property) is not supported, at position 1'],
  ['\\Aa\\Z', '\\A (an anchor) is not supported, at position 0'],
  ['\\a', '\\a (an unknown escape) is not supported, at position 0'],
  ['\\U0001F600', '\\U (an unknown escape) is not supported, at position 0'],
  ['\\x4', 'An escape without its hexadecimal digits, at position 0'],
  ['\\u12', 'An escape without its hexadecimal digits, at position 0'],
  ['\\u{110000}', 'An escape beyond the last code point, at position 0'],
  ['\\c1', '\\c needs a letter, at position 0'],
  ['a\\', 'A backslash with nothing after it, at position 1'],
  ['a^b', 'The anchor ^ is supported only at the start of the whole or of a top-level alternative, at position 1'],
  ['(^a)', 'The anchor ^ is supported only at the start of the whole or of a top-level alternative, at position 1'],
  ['a$b', 'No text matches the expression'],
  ['(a$)?$*', 'An anchor or lookahead cannot be repeated, at position 5'],
  ['*a', 'A quantifier with nothing to repeat, at position 0'],
  ['a|{2}', 'A quantifier with nothing to repeat, at position 2'],
  ['a**', 'A quantifier with nothing to repeat, at position 2'],
  ['^*', 'A quantifier with nothing to repeat, at position 1'],
  ['a++', 'A possessive quantifier is not supported, at position 2'],
  ['a{,3}', 'A repeat needs its least count, as in {0,3}, at position 1'],
  ['a{3,2}', 'The counts of a repeat are out of order, at position 1'],
  ['a{1,10001}', 'More than 10000 repeats, at position 1'],
  [`a{${'9'.repeat(400)}}`, 'More than 10000 repeats, at position 1'],
  ['(a', 'The group is not closed, at position 0'],
  ['a)', 'A ")" without its "(", at position 1'],
  ['[a', 'The character class is not closed, at position 0'],
  ['[a-', 'The character class is not closed, at position 0'],
  ['[^]]', 'A "]" without its "[": escape it, at position 3'],
  ['[b-a]', 'A range in a character class is out of order, at position 1'],
  ['[a-\\d]', 'A range in a character class is from one character to another, at position 1'],
  ['[\\w-a]', 'A range in a character class is from one character to another, at position 1'],
  ['[]', 'No text matches the expression'],
  ['a[]|\\ud800', 'No text matches the expression'],
  ['[^\\0-\\u{10ffff}]', 'No text matches the expression'],
  ['\ud83d', 'No text matches the expression'],
];

describe('a regular expression', () => {
  test.each(SUPPORTED)('%s', (source, matching, other) => {
    const machine = compileRegex(source);
    for (const text of matching) expect(accepts(machine, text), JSON.stringify(text)).toBe(true);
    for (const text of other) expect(accepts(machine, text), JSON.stringify(text)).toBe(false);
  });

  test.each(REFUSED)('%s is refused', (source, message) => {
    expect(() => compileRegex(source)).toThrow(new GrammarError(message));
  });

  test('generated ones match what they match in JavaScript', () => {
    compareRegexes(Array.from({ length: 100 }, (_, seed) => seed));
  });
});

describe('its machine', () => {
  test('has a state that is not viable for each byte that cannot come', () => {
    const machine = compileRegex('a[b-d]|aé');
    const viable = (...bytes: number[]) => machine.viable(after(machine, bytes));
    expect([viable(), viable(0x61), viable(0x61, 0x62), viable(0x61, 0xc3), viable(0x61, 0xc3, 0xa9)]).not.toContain(
      false,
    );
    expect([viable(0x62), viable(0x61, 0x61), viable(0x61, 0xc3, 0xa8), viable(0x61, 0x62, 0x62)]).not.toContain(true);
  });

  test('has no viable state from which nothing can be accepted', () => {
    const machine = compileRegex('a(b[]|c)|d\\ud800');
    expect(machine.viable(after(machine, [0x61]))).toBe(true);
    expect(machine.viable(after(machine, [0x61, 0x62]))).toBe(false);
    expect(machine.viable(after(machine, [0x64]))).toBe(false);
  });

  test('takes neither surrogates nor overlong or too large encodings', () => {
    const machine = compileRegex('[^]');
    const accepting = (...bytes: number[]) => machine.accepting(after(machine, bytes));
    const viable = (...bytes: number[]) => machine.viable(after(machine, bytes));
    expect(accepting(0xed, 0x9f, 0xbf)).toBe(true);
    expect(accepting(0xf4, 0x8f, 0xbf, 0xbf)).toBe(true);
    expect([viable(0xed, 0xa0), viable(0xc0), viable(0xc1), viable(0xe0, 0x9f), viable(0xf0, 0x8f)]).not.toContain(
      true,
    );
    expect([viable(0xf4, 0x90), viable(0xf5), viable(0x80), viable(0xff)]).not.toContain(true);
  });

  test('returns to the same state, so that masks are found again', () => {
    const machine = compileRegex('(ab|é)*');
    const start = after(machine, [0x61, 0x62]);
    expect(after(machine, [0x61, 0x62, 0xc3, 0xa9])).toBe(start);
    expect(machine.maskKey?.(start)).toBe(machine.maskKey?.(after(machine, [0x61, 0x62, 0x61, 0x62])));
    expect(machine.maskKey?.(start)).not.toBe(machine.maskKey?.(after(machine, [0x61])));
  });
});
