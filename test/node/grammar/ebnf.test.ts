import { describe, expect, test } from 'vitest';
import { GrammarError } from '../../../worker/grammar/byte-machine.ts';
import { compileEbnf } from '../../../worker/grammar/ebnf.ts';
import { xorshift } from '../../random.ts';
import { compareGrammars } from './generated-grammar.ts';
import { accepts, after, isViable, randomText } from './walk.ts';

const JSON_GRAMMAR = String.raw`
root   ::= ws value ws
value  ::= object | array | string | number | "true" | "false" | "null"
object ::= "{" ws (member ("," ws member)*)? "}"   # members end with blanks
member ::= string ws ":" ws value ws
array  ::= "[" ws (value ws ("," ws value ws)*)? "]"
string ::= "\"" ([^"\\\x00-\x1F] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4}))* "\""
number ::= "-"? ("0" | [1-9] [0-9]*) ("." [0-9]+)? ([eE] [-+]? [0-9]+)?
ws     ::= [ \t\n\r]*
`;

const ARITHMETIC = `
root ::= expr
expr ::= expr ("+" | "-") term | term
term ::= (term ("*" | "/") factor) | factor
factor ::= [0-9]+ | "(" expr ")" | "-" factor
`;

/** Texts that are in a grammar, and texts that are not. */
const SUPPORTED: readonly [title: string, source: string, matching: readonly string[], other: readonly string[]][] = [
  ['a text', 'root ::= "yes" | "no"', ['yes', 'no'], ['', 'y', 'yesno']],
  ['an empty text', 'root ::= "" | "a"', ['', 'a'], ['aa']],
  ['an empty alternative', 'root ::= | "a"\n', ['', 'a'], ['aa']],
  ['an empty alternative at the end', 'root ::= ("a" |) "b" |', ['ab', 'b', ''], ['a']],
  ['a sequence', 'root ::= "a" b "c"\nb ::= "b"', ['abc'], ['ac']],
  ['repeats', 'root ::= "a"* "b"+ "c"?', ['b', 'aabbc'], ['a', 'bcc']],
  ['counts', 'root ::= "a"{2} "b"{1,} "c"{0,2} "d"{ 1 , 2 }', ['aabd', 'aabbccdd'], ['abd', 'aabcccd', 'aab']],
  ['a repeated repeat', 'root ::= ("ab" {2}) *', ['', 'abab', 'abababab'], ['ab']],
  ['groups', 'root ::= ("a" ("b" | "c"))+ (("d"))', ['abd', 'abacd'], ['ad', 'abc']],
  [
    'classes',
    'root ::= [a-c_-] [^a-c\\n] [\\d] [\\]\\\\^]',
    ['ad1]', '_\t2\\', '-é3^'],
    ['dd1]', 'aa1]', 'a\n1]', 'adx]'],
  ],
  ['a dot', 'root ::= . "." .', ['a.b', '\n.漢'], ['.', 'ab']],
  ['a dot behind a name', 'root ::= a.* \na ::= "a"', ['a', 'axy\n'], ['', 'b']],
  ['names', 'root ::= A-b_1.c | 2x\nA-b_1.c ::= "1"\n2x ::= "2"', ['1', '2'], ['']],
  [
    'escapes',
    String.raw`root ::= "\n\r\t\v\f\a\b\e\0\"\\\'\x41\u00e9\U0001F600\u{1F601}\ud83d\ude02" [\x41\u00e9\U0001F600\-]`,
    ['\n\r\t\v\f\u0007\b\u001b\0"\\\'Aé😀😁😂é', '\n\r\t\v\f\u0007\b\u001b\0"\\\'Aé😀😁😂-'],
    ['A'],
  ],
  ['Unicode', 'root ::= "é" [ぁ-ゟ]+ [^\\x00-\\uffff]', ['éあん😀'], ['éア😀', 'éあa']],
  ['comments', '# first\nroot ::= # one\n  "#" # two\n  a # three\n# four\na ::= [#]\n# last', ['##'], ['#']],
  [
    'many lines',
    'root ::=\n  "a"\n  | "b"\n\n  "c" (\n "d"\n |\n "e" )\r\nx ::= "x"',
    ['a', 'bcd', 'bce'],
    ['b', 'bc'],
  ],
  ['one line', 'root ::= a b a ::= "a" b ::= "b"', ['ab'], ['a']],
  ['a rule that is not used', 'root ::= "a"\nb ::= "b"', ['a'], ['b']],
  ['recursion in the middle', 'root ::= "(" root ")" | ""', ['', '(())'], ['(', '())']],
  ['recursion at the end', 'root ::= "a" root | "b"', ['b', 'aaab'], ['a', 'bb']],
  ['recursion at the start', 'root ::= root "a" | "b" | root "c" "c"', ['b', 'baa', 'bccacc'], ['a', 'bc', '']],
  [
    'recursion by way of other rules',
    'root ::= call | name\ncall ::= root "(" ")" | index\nindex ::= (call | name) "[" root "]"\nname ::= [a-z]+',
    ['a', 'a()', 'ab()()', 'a[b()]()[c]'],
    ['', '()', 'a(', 'a[]'],
  ],
  ['an idle recursion', 'root ::= root | root "a" | ""', ['', 'aa'], ['b']],
  ['palindromes', 'root ::= "a" root "a" | "b" root "b" | "a" | "b" | ""', ['', 'aba', 'abba', 'babab'], ['ab', 'abb']],
  ['a list', 'root ::= item ("," item)*\nitem ::= [a-z]+', ['a', 'ab,c,d'], ['', 'a,', ',a']],
  ['arithmetic', ARITHMETIC, ['1', '1+2*3', '(1-2)/-3', '-(-(4))'], ['', '1+', '(1', '1)', '+1']],
  [
    'JSON',
    JSON_GRAMMAR,
    ['{}', ' [1, -2.5e+3,"a\\u00e9\\n漢" ] ', '{"a": {"b": [true,false,null, []]}}', '0'],
    ['', '01', '{"a"}', '[1,]', '"a', '"\n"', '{a:1}'],
  ],
];

const REFUSED: readonly [source: string, message: string][] = [
  ['', 'There is no rule "root", at line 1, column 1'],
  ['start ::= "a"', 'There is no rule "root", at line 1, column 14'],
  ['root ::= a\nb ::= "b"', 'The rule "a" is not defined, at line 1, column 10'],
  ['root ::= "a"\nroot ::= "b"', 'The rule "root" is defined twice, at line 2, column 1'],
  ['root = "a"', 'Expected "::=" after the rule name "root", at line 1, column 6'],
  ['?start: "a"', 'Expected a rule, as in: root ::= "yes" | "no", at line 1, column 1'],
  ['root ::= "a', 'The string is not closed, at line 1, column 10'],
  ['root ::= "a\n"', 'The string is not closed, at line 1, column 10'],
  ['root ::= [a', 'The character class is not closed, at line 1, column 10'],
  ['root ::= ("a"\nb ::= "b"', 'The group is not closed, at line 1, column 10'],
  ['root ::= "a")', 'A ")" without its "(", at line 1, column 13'],
  ['root ::= "a"]', 'A "]" without its "[", at line 1, column 13'],
  ['root ::= * "a"', 'A quantifier with nothing to repeat, at line 1, column 10'],
  ['root ::= "a"{,2}', 'A repeat has the form {2}, {2,} or {2,3}, at line 1, column 13'],
  ['root ::= "a"{3,2}', 'The counts of a repeat are out of order, at line 1, column 13'],
  ['root ::= "a"{10001}', 'More than 10000 repeats, at line 1, column 13'],
  ["root ::= 'a'", 'A string in single quotes is not supported, at line 1, column 10'],
  ['root ::= "a" (="b")', 'A lookahead is not supported, at line 1, column 14'],
  ['root ::= <think>', 'A reference to a token is not supported, at line 1, column 10'],
  ['root ::= !<[1000]>', 'A reference to a token is not supported, at line 1, column 10'],
  ['root ::= /a+/', 'A regular expression in slashes is not supported, at line 1, column 10'],
  ['root ::= "a" ~ "b"', 'Unexpected "~", at line 1, column 14'],
  ['root ::= "\\d"', 'An escape for a set of characters in a string, at line 1, column 11'],
  ['root ::= "\\q"', '\\q (an unknown escape) is not supported, at line 1, column 11'],
  ['root ::= [\\U00110000]', 'An escape beyond the last code point, at line 1, column 11'],
  ['root ::= "a" root', 'No text matches the rule "root": it cannot come to an end'],
  ['root ::= "a" | b\nb ::= "b" c\nc ::= "c" b', 'No text matches the rule "b": it cannot come to an end'],
  ['root ::= root', 'No text matches the rule "root": it cannot come to an end'],
  ['root ::= [^\\x00-\\U0010FFFF]', 'No text matches the rule "root": it cannot come to an end'],
  [
    'root ::= blank root "x" | "x"\nblank ::= " "*',
    'Left recursion after something optional or repeated: "root" starts with "root"',
  ],
  [
    'root ::= a "x" | "x"\na ::= b? "a"\nb ::= a "b"',
    'Left recursion after something optional or repeated: "a" starts with "b" starts with "a"',
  ],
  [
    'root ::= a "x" | "x"\na ::= (b "c")+ | "a"\nb ::= a "b"',
    'Left recursion after something optional or repeated: "a" starts with "b" starts with "a"',
  ],
];

describe('a grammar', () => {
  test.each(SUPPORTED)('with %s', (_, source, matching, other) => {
    const machine = compileEbnf(source);
    for (const text of matching) expect(accepts(machine, text), JSON.stringify(text)).toBe(true);
    for (const text of other) expect(accepts(machine, text), JSON.stringify(text)).toBe(false);
  });

  test.each(REFUSED)('%j is refused', (source, message) => {
    expect(() => compileEbnf(source)).toThrow(new GrammarError(message));
  });

  test('generated ones match what a simple recogniser finds', () => {
    expect(compareGrammars(Array.from({ length: 50 }, (_, seed) => seed))).toBeGreaterThan(30);
  });
});

describe('its machine', () => {
  test('gives JSON that parses', () => {
    const machine = compileEbnf(JSON_GRAMMAR);
    const random = xorshift(1);
    const texts = Array.from({ length: 200 }, () => randomText(machine, random, 30)).filter(
      (text) => text !== undefined,
    );
    expect(texts.length).toBeGreaterThan(150);
    for (const text of texts) expect(() => JSON.parse(text), text).not.toThrow();
  });

  test('has no viable state from which nothing can be accepted', () => {
    const machine = compileEbnf('root ::= "a" ("b" [^\\x00-\\U0010FFFF] | "c")');
    expect([isViable(machine, 'a'), isViable(machine, 'ab'), isViable(machine, 'ac')]).toEqual([true, false, true]);
  });

  test('returns to the same state, so that masks are found again', () => {
    const machine = compileEbnf(JSON_GRAMMAR);
    const bytes = (text: string) => new TextEncoder().encode(text);
    expect(after(machine, bytes('[1,2,'))).toBe(after(machine, bytes('[1,')));
    expect(after(machine, bytes('{"a":[],'))).toBe(after(machine, bytes('{"bcd":"e",')));
    expect(after(machine, bytes('[['))).not.toBe(after(machine, bytes('[')));
  });

  test('does not grow with recursion at the end of a rule', () => {
    const machine = compileEbnf('root ::= item "," root | item\nitem ::= [a-z] item | [a-z]');
    const bytes = (text: string) => new TextEncoder().encode(text);
    expect(after(machine, bytes('abc,'.repeat(5000)))).toBe(after(machine, bytes('a,')));
  });
});
