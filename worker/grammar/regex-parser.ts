import { COMMON_ESCAPES, readClass, readEscape } from './character-class.ts';
import { ANY, NOT_LINE_END } from './code-points.ts';
import { choice, codePoint, sequence, type Expression } from './expression.ts';
import { SourceReader } from './source-reader.ts';

const COUNTS = /\{(\d+)(,(\d*))?\}/y;

/** The groups that are refused, by how they start, the longest first. */
const UNSUPPORTED_GROUPS: readonly [start: string, what: string][] = [
  ['?<=', 'A lookbehind'],
  ['?<!', 'A lookbehind'],
  ['?P=', 'A backreference'],
  ['?=', 'A lookahead'],
  ['?!', 'A lookahead'],
  ['?>', 'An atomic group'],
  ['?#', 'A comment'],
  ['?(', 'A conditional'],
  ['?', 'An inline flag or unknown group'],
];

/**
 * Parses a regular expression of ECMAScript with the flag `u`. Beyond that, braces that are no repeat stand for themselves,
 * any character but letters and digits can be escaped, and `(?P<name>…)` is a group, as in Python.
 */
export function parseRegex(source: string): Expression {
  return parse(source, false);
}

/** Parses a regular expression that may match any part of a text which `^` and `$` do not tie it to. */
export function parsePattern(source: string): Expression {
  return parse(source, true);
}

function parse(source: string, search: boolean): Expression {
  const reader = new SourceReader(source, (_, index) => `position ${index}`);
  const whole = readChoice(reader, search);
  if (!reader.ended) reader.fail('A ")" without its "("');
  return whole;
}

function readChoice(reader: SourceReader, search = false): Expression {
  const options = [readSequence(reader, search)];
  while (reader.eat('|')) options.push(readSequence(reader, search));
  return choice(options);
}

const ANYTHING: Expression = { kind: 'repeat', part: { kind: 'class', set: ANY }, min: 0, max: Infinity };

/** @param search whether there may be more text where no anchor is; otherwise all of it must match, and they say nothing */
function readSequence(reader: SourceReader, search: boolean): Expression {
  const atTop = reader.nesting === 0;
  const parts: Expression[] = [];
  if (!(atTop && reader.eat('^')) && search) parts.push(ANYTHING);
  let tied = false;
  while (!tied && !reader.ended && !reader.startsWith('|') && !reader.startsWith(')')) {
    tied = atTop && reader.eatMatch(/\$(?=\||$)/y) !== null;
    if (!tied) parts.push(readQuantified(reader));
  }
  if (search && !tied) parts.push(ANYTHING);
  return sequence(parts);
}

function readQuantified(reader: SourceReader): Expression {
  const start = reader.position;
  if (reader.quantifier(COUNTS)) reader.fail('A quantifier with nothing to repeat', start);
  const part = readAtom(reader);
  const counts = reader.quantifier(COUNTS);
  if (!counts) return part;
  // Lazy or not, the same texts match.
  reader.eat('?');
  if (reader.startsWith('+')) reader.fail('A possessive quantifier is not supported');
  return { kind: 'repeat', part, ...counts };
}

function readAtom(reader: SourceReader): Expression {
  const start = reader.position;
  switch (reader.peek()) {
    case '(':
      return readGroup(reader);
    case '[':
      reader.take();
      return { kind: 'class', set: readClass(reader, () => readEscape(reader, { ...COMMON_ESCAPES, b: 0x08 })) };
    case '.':
      reader.take();
      return { kind: 'class', set: NOT_LINE_END };
    case '\\': {
      reader.take();
      const escaped = readEscape(reader, COMMON_ESCAPES);
      return typeof escaped === 'number' ? codePoint(escaped) : { kind: 'class', set: escaped };
    }
    case '^':
      return reader.fail(
        'The anchor ^ is supported only at the start of the whole or of a top-level alternative',
        start,
      );
    case '$':
      return reader.fail('The anchor $ is supported only at the end of the whole or of a top-level alternative', start);
    case ']':
      // In Python it stands for itself, and `[]]` is a class. Refused, since that would silently mean something else.
      return reader.fail('A "]" without its "[": escape it', start);
    case '{':
      if (reader.match(/\{,\d+\}/y)) reader.fail('A repeat needs its least count, as in {0,3}', start);
      return codePoint(reader.takeCodePoint());
    default:
      return codePoint(reader.takeCodePoint());
  }
}

function readGroup(reader: SourceReader): Expression {
  const open = reader.position;
  reader.take();
  if (!reader.eat('?:') && !reader.eatMatch(/\?P?<[\p{L}_$][\p{L}\d_$]*>/uy)) {
    const refused = UNSUPPORTED_GROUPS.find(([start]) => reader.startsWith(start));
    if (refused) reader.fail(`${refused[1]} is not supported`, open);
  }
  return reader.nested(open, () => readChoice(reader));
}
