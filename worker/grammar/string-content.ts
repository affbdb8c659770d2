import { repeat } from './build-expression.ts';
import { type ByteMachine, GrammarError } from './byte-machine.ts';
import type { CompileClock } from './compile-clock.ts';
import { ANY } from './code-points.ts';
import { type Expression, sequence } from './expression.ts';
import { ANY_CHARACTER, character, escaped } from './json-text.ts';
import { hasLookahead, rulesOfLookahead } from './lookahead.ts';
import { patternsOf } from './merge-schemas.ts';
import { machineOf } from './regex.ts';
import { parsePattern } from './regex-parser.ts';
import type { SchemaContext } from './schema-context.ts';
import { countOf, type SchemaObject, unsupportedSchema } from './schema-keywords.ts';
import { FORMATS, STANDARD_FORMATS } from './string-formats.ts';

/** Longer strings are not written, although the schema allows them; a schema that needs longer ones is refused. */
const MOST_CHARACTERS = 1000;

/** What stands between the quotes of a string. */
export function stringContent(schema: SchemaObject, path: string, context: SchemaContext): Expression {
  const min = countOf(schema, 'minLength', path) ?? 0;
  const max = countOf(schema, 'maxLength', path) ?? Infinity;
  if (min > MOST_CHARACTERS) throw unsupportedSchema(path, 'minLength', `it is above ${MOST_CHARACTERS}`);
  if (max < min) throw unsupportedSchema(path, 'maxLength', 'it is below minLength');
  const most = max === Infinity ? max : Math.max(min, Math.min(max, MOST_CHARACTERS));
  const kinds = [...patternTexts(schema, path), ...formatText(schema, path)];
  const [first, ...others] = kinds;
  if (!first) return repeat(ANY_CHARACTER, min, most);
  const isCounted =
    !kinds.some((kind) => lengthOf(kind, 'min') >= min) || !kinds.some((kind) => lengthOf(kind, 'max') <= max);
  if (isCounted) others.push({ kind: 'repeat', part: { kind: 'class', set: ANY }, min, max: most });
  // All of them at once: each but the first as a lookahead to the end.
  const whole = sequence([...others.map((part): Expression => ({ kind: 'ahead', part, not: false })), first]);
  if (!hasLookahead(whole)) return escaped(whole);
  try {
    return context.include((prefix) => rulesOfLookahead(whole, { prefix, letter: character, clock: context.clock }));
  } catch (error) {
    throw asUnsupported(error, path, isCounted ? 'maxLength' : 'pattern');
  }
}

/** Whether a string has what the patterns ask for: in a time that grows with its length alone, as a browser's may not. */
export function patternTest(schema: SchemaObject, path: string, clock: CompileClock): (text: string) => boolean {
  try {
    const machines = patternTexts(schema, path).map((pattern) => machineOf(pattern, clock));
    return (text) => machines.every((machine) => acceptsText(machine, text, clock));
  } catch (error) {
    throw asUnsupported(error, path, 'pattern');
  }
}

function acceptsText<State>(machine: ByteMachine<State>, text: string, clock: CompileClock): boolean {
  // The encoder would put another character in the place of half of one.
  if (/\p{Surrogate}/u.test(text)) return false;
  let state = machine.initial;
  for (const byte of new TextEncoder().encode(text)) {
    clock.look();
    state = machine.transition(state, byte);
  }
  return machine.accepting(state);
}

/** A pattern may match any part of a string that it is not tied to by `^` and `$`. */
function patternTexts(schema: SchemaObject, path: string): readonly Expression[] {
  return patternsOf(schema['pattern']).map((pattern) => {
    if (typeof pattern !== 'string') throw unsupportedSchema(path, 'pattern', 'it must be a string');
    try {
      return parsePattern(pattern);
    } catch (error) {
      throw asUnsupported(error, path, 'pattern');
    }
  });
}

function asUnsupported(error: unknown, path: string, keyword: string): unknown {
  return error instanceof GrammarError ? unsupportedSchema(path, keyword, error.message) : error;
}

/** Beside a pattern, a format that no standard has limits nothing: so zod names what its patterns are for. */
function formatText({ format, pattern }: SchemaObject, path: string): readonly Expression[] {
  if (format === undefined) return [];
  if (typeof format === 'string') {
    if (Object.hasOwn(FORMATS, format)) return [parsePattern(`^(?:${FORMATS[format]})$`)];
    if (pattern !== undefined && !STANDARD_FORMATS.has(format)) return [];
  }
  throw unsupportedSchema(path, 'format', `the formats are ${Object.keys(FORMATS).join(', ')}`);
}

/** The least or largest number of characters that an expression can match. */
function lengthOf(expression: Expression, end: 'min' | 'max'): number {
  switch (expression.kind) {
    case 'class':
      return 1;
    case 'sequence':
      return expression.parts.reduce((sum, part) => sum + lengthOf(part, end), 0);
    case 'choice':
      return Math[end](...expression.options.map((option) => lengthOf(option, end)));
    case 'repeat': {
      const [length, count] = [lengthOf(expression.part, end), expression[end]];
      return length === 0 ? 0 : length * count;
    }
    default:
      return 0;
  }
}
