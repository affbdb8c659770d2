import { repeat, sequence } from './build-expression.ts';
import { GrammarError } from './byte-machine.ts';
import type { Expression } from './expression.ts';
import { ANY_CHARACTER, escaped } from './json-text.ts';
import { parsePattern } from './regex-parser.ts';
import { countOf, type SchemaObject, unsupportedSchema } from './schema-keywords.ts';
import { FORMATS } from './string-formats.ts';

/** Longer strings are not written, although the schema allows them; a schema that needs longer ones is refused. */
const MOST_CHARACTERS = 1000;

/** What stands between the quotes of a string. */
export function stringContent(schema: SchemaObject, path: string): Expression {
  const min = countOf(schema, 'minLength', path) ?? 0;
  const max = countOf(schema, 'maxLength', path) ?? Infinity;
  const { pattern, format } = schema;
  const special = pattern === undefined ? (format === undefined ? undefined : 'format') : 'pattern';
  if (special) {
    const other = special === 'pattern' && format !== undefined ? 'format' : max < Infinity ? 'maxLength' : 'minLength';
    if (other === 'format' || min > 0 || max < Infinity) {
      throw unsupportedSchema(path, other, `beside ${special} it is not known`);
    }
    return escaped(special === 'pattern' ? patternText(pattern, path) : formatText(format, path));
  }
  if (min === 0 && max === Infinity) return repeat(ANY_CHARACTER);
  if (min > MOST_CHARACTERS) throw unsupportedSchema(path, 'minLength', `it is above ${MOST_CHARACTERS}`);
  if (max < min) throw unsupportedSchema(path, 'maxLength', 'it is below minLength');
  return repeat(ANY_CHARACTER, min, max === Infinity ? max : Math.max(min, Math.min(max, MOST_CHARACTERS)));
}

/** A pattern may match any part of a string that it is not tied to by `^` and `$`. */
function patternText(pattern: unknown, path: string): Expression {
  if (typeof pattern !== 'string') throw unsupportedSchema(path, 'pattern', 'it must be a string');
  try {
    return parsePattern(pattern);
  } catch (error) {
    if (error instanceof GrammarError) throw unsupportedSchema(path, 'pattern', error.message);
    throw error;
  }
}

function formatText(format: unknown, path: string): Expression {
  const known = typeof format === 'string' && Object.hasOwn(FORMATS, format) ? FORMATS[format] : undefined;
  if (known === undefined) {
    throw unsupportedSchema(path, 'format', `the formats are ${Object.keys(FORMATS).join(', ')}`);
  }
  return sequence(parsePattern(`^(?:${known})$`));
}
