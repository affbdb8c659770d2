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
  ['?>', 'An atomic group'],
  ['?#', 'A comment'],
  ['?(', 'A conditional'],
  ['?', 'An inline flag or unknown group'],
];

/** What anchors say where: */
type Ends =
  /** Nothing, because the whole text must match. */
  | 'whole'
  /** Where they are missing, there may be more text. */
  | 'search'
  /** As with `search`, but only behind it: a lookahead starts where it stands. */
  | 'ahead'
  /** Not known: within a group. */
  | 'inside';

/**
 * Parses a regular expression of ECMAScript with the flag `u`. Beyond that, braces that are no repeat stand for themselves,
 * any character but letters and digits can be escaped, and `(?P<name>…)` is a group, as in Python.
 */
export function parseRegex(source: string): Expression {
  return parse(source, 'whole');
}

/** Parses a regular expression that may match any part of a text which `^` and `$` do not tie it to. */
export function parsePattern(source: string): Expression {
  return parse(source, 'search');
}

function parse(source: string, ends: Ends): Expression {
  const reader = new SourceReader(source, (_, index) => `position ${index}`);
  const whole = readChoice(reader, ends);
  if (!reader.ended) reader.fail('A ")" without its "("');
  return whole;
}

const ANYTHING: Expression = { kind: 'repeat', part: { kind: 'class', set: ANY }, min: 0, max: Infinity };
/** `$` where more could follow: no character does. */
const TEXT_ENDS: Expression = { kind: 'ahead', part: sequence([{ kind: 'class', set: ANY }, ANYTHING]), not: true };

/** @param atStart of the text: a lookahead there may have a `^` of its own */
function readChoice(reader: SourceReader, ends: Ends, atStart = true): Expression {
  const options = [readSequence(reader, ends, atStart)];
  while (reader.eat('|')) options.push(readSequence(reader, ends, atStart));
  return choice(options);
}

function readSequence(reader: SourceReader, ends: Ends, atStart: boolean): Expression {
  const parts: Expression[] = [];
  const anchored = ends !== 'inside' && atStart && reader.eat('^');
  if (!anchored && ends === 'search') parts.push(ANYTHING);
  let tied = false;
  while (!tied && !reader.ended && !reader.startsWith('|') && !reader.startsWith(')')) {
    tied = ends !== 'inside' && reader.eatMatch(ends === 'ahead' ? /\$(?=[|)])/y : /\$(?=\||$)/y) !== null;
    const isStart = (anchored || ends === 'whole') && parts.every(({ kind }) => kind === 'ahead');
    if (!tied) parts.push(readQuantified(reader, isStart));
  }
  if (ends !== 'whole' && ends !== 'inside' && !tied) parts.push(ANYTHING);
  return sequence(parts);
}

function readQuantified(reader: SourceReader, atStart: boolean): Expression {
  const start = reader.position;
  if (reader.quantifier(COUNTS)) reader.fail('A quantifier with nothing to repeat', start);
  const isAssertion = reader.match(/\$|\(\?[=!]/y) !== null;
  const part = readAtom(reader, atStart);
  const counts = reader.quantifier(COUNTS);
  if (!counts) return part;
  // JavaScript refuses it too. (A group around one can be repeated.)
  if (isAssertion) reader.fail('An anchor or lookahead cannot be repeated', start);
  // Lazy or not, the same texts match.
  reader.eat('?');
  if (reader.startsWith('+')) reader.fail('A possessive quantifier is not supported');
  return { kind: 'repeat', part, ...counts };
}

function readAtom(reader: SourceReader, atStart: boolean): Expression {
  const start = reader.position;
  switch (reader.peek()) {
    case '(':
      return readGroup(reader, atStart);
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
      reader.take();
      return TEXT_ENDS;
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

function readGroup(reader: SourceReader, atStart: boolean): Expression {
  const open = reader.position;
  reader.take();
  const ahead = reader.eatMatch(/\?[=!]/y)?.[0];
  if (ahead !== undefined) {
    const part = reader.nested(open, () => readChoice(reader, 'ahead', atStart));
    return { kind: 'ahead', part, not: ahead === '?!' };
  }
  if (!reader.eat('?:') && !reader.eatMatch(/\?P?<[\p{L}_$][\p{L}\d_$]*>/uy)) {
    const refused = UNSUPPORTED_GROUPS.find(([start]) => reader.startsWith(start));
    if (refused) reader.fail(`${refused[1]} is not supported`, open);
  }
  return reader.nested(open, () => readChoice(reader, 'inside'));
}
