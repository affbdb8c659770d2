import { choice, chars, EMPTY, repeat, rule, type Rules, sequence, text } from './build-expression.ts';
import { codePoints, type CodePoints, complement } from './code-points.ts';
import type { Expression } from './expression.ts';

/** What separates members and items, and a name from its value. There is no other white space. */
export const BETWEEN = text(', ');
const COLON = text(': ');
const QUOTE = text('"');

/** Characters that are written with a backslash, and what comes after it. (`\u` is not used: it could be half of one.) */
const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '\b': 'b',
  '\f': 'f',
  '\n': 'n',
  '\r': 'r',
  '\t': 't',
};

/** Any character of a string. */
export const ANY_CHARACTER = rule('character');
const ANY_STRING = quoted(repeat(ANY_CHARACTER));
/** Any value. */
export const ANY = rule('any');

/** Rules that any schema may refer to: one character of a string, and any value. */
export const COMMON: Rules = new Map([
  ['character', character(complement([]))],
  [
    'any',
    choice(
      ANY_STRING,
      anyNumber(),
      text('true'),
      text('false'),
      text('null'),
      inArray(listOf(ANY)),
      inObject(listOf(member(ANY_STRING, ANY))),
    ),
  ],
]);

function anyNumber(): Expression {
  const digit = chars('09');
  const whole = choice(text('0'), sequence(chars('19'), repeat(digit, 0, 8)));
  const large = sequence(chars('19'), repeat(digit, 9, 14));
  const number = choice(sequence(whole, repeat(sequence(text('.'), repeat(digit, 1, 6)), 0, 1)), large);
  return sequence(repeat(text('-'), 0, 1), number);
}

/** Any number of items, and at least `min`. */
export function listOf(item: Expression, min = 0, max = Infinity): Expression {
  const list = sequence(item, repeat(sequence(BETWEEN, item), Math.max(0, min - 1), max - 1));
  return max === 0 ? EMPTY : min > 0 ? list : choice(EMPTY, list);
}

/** A string with this content. */
export function quoted(content: Expression): Expression {
  return sequence(QUOTE, content, QUOTE);
}

export function inArray(items: Expression): Expression {
  return sequence(text('['), items, text(']'));
}

export function inObject(members: Expression): Expression {
  return sequence(text('{'), members, text('}'));
}

export function member(name: Expression, value: Expression): Expression {
  return sequence(name, COLON, value);
}

/** A value as a text, with our separators. */
export function written(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(written).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  return `{${Object.entries(value)
    .map(([name, item]) => `${JSON.stringify(name)}: ${written(item)}`)
    .join(', ')}}`;
}

/** One character of a set within a string: as it is, or its escape. Control characters without a short escape are left out. */
export function character(set: CodePoints): Expression {
  const isIn = (letter: string): boolean => {
    const point = letter.codePointAt(0) ?? 0;
    return set.some(([first, last]) => first <= point && point <= last);
  };
  const escapes = Object.entries(ESCAPES).filter(([letter]) => isIn(letter));
  const never = codePoints([...complement(set), [0, 0x1f], [0x22, 0x22], [0x5c, 0x5c]]);
  const plain: Expression = { kind: 'class', set: complement(never) };
  return choice(
    ...(plain.set.length > 0 ? [plain] : []),
    ...(escapes.length > 0 ? [sequence(text('\\'), chars(...escapes.map(([, letter]) => letter)))] : []),
  );
}

/** A text within a string, as JSON writes it, from an expression for the text itself. */
export function escaped(expression: Expression): Expression {
  switch (expression.kind) {
    case 'class':
      return character(expression.set);
    case 'sequence':
      return sequence(...expression.parts.map(escaped));
    case 'choice':
      return choice(...expression.options.map(escaped));
    case 'repeat':
      return repeat(escaped(expression.part), expression.min, expression.max);
    case 'rule':
    case 'ahead':
      return expression;
  }
}
