import { choice, text } from './build-expression.ts';
import type { CompileClock } from './compile-clock.ts';
import type { Expression } from './expression.ts';
import { written } from './json-text.ts';
import { same } from './merge-schemas.ts';
import { hasType, KEYWORDS_OF, type SchemaObject, stringsOf, unsupportedSchema } from './schema-keywords.ts';
import { SchemaValidator } from './schema-validator.ts';
import { patternTest } from './string-content.ts';

const TYPES = ['object', 'array', 'string', 'number', 'integer', 'boolean', 'null'] as const;
export type Type = (typeof TYPES)[number];

/** The types that a value may have: those that are named, or those that the keywords are about. Undefined: any. */
export function typesOf(schema: SchemaObject, path: string): readonly Type[] | undefined {
  const named = schema['type'];
  if (named !== undefined) {
    const types = typeof named === 'string' ? [named] : stringsOf(schema, 'type', path);
    const known = TYPES.filter((type) => types.includes(type));
    if (known.length < new Set(types).size) throw unsupportedSchema(path, 'type', `the types are ${TYPES.join(', ')}`);
    return known.includes('number') ? known.filter((type) => type !== 'integer') : known;
  }
  const implied = (['object', 'array', 'string', 'number'] as const).filter((type) =>
    KEYWORDS_OF[type].some((keyword) => schema[keyword] !== undefined),
  );
  return implied.length > 0 ? implied : undefined;
}

/** One of the values of `enum` or `const`. */
export function fixedValue(schema: SchemaObject, path: string, clock: CompileClock): Expression {
  return choice(...allowedValues(schema, path, clock).map((value) => text(written(value))));
}

/** Keywords without schemas in them. */
const PLAIN: readonly string[] = [...KEYWORDS_OF.string, ...KEYWORDS_OF.number];

/** The values of `enum` and `const` that everything else in the schema allows. */
export function allowedValues(schema: SchemaObject, path: string, clock: CompileClock): readonly unknown[] {
  const { enum: _enum, const: _const, type: _type, pattern, ...rest } = schema;
  const unknown = Object.keys(rest).find((keyword) => !PLAIN.includes(keyword));
  if (unknown !== undefined) throw unsupportedSchema(path, unknown, 'beside enum or const it is not known');
  const others = new SchemaValidator(rest);
  const matches = patternTest({ pattern }, path, clock);
  const listed = schema['enum'] ?? [schema['const']];
  if (!Array.isArray(listed)) throw unsupportedSchema(path, 'enum', 'it must be an array');
  const types = schema['type'] === undefined ? undefined : typesOf(schema, path);
  return listed.filter((value: unknown) => {
    clock.look();
    if (!same(JSON.parse(written(value)), value)) {
      throw unsupportedSchema(path, schema['enum'] === undefined ? 'const' : 'enum', 'it has an infinite number');
    }
    return (
      (schema['const'] === undefined || same(value, schema['const'])) &&
      (!types || types.some((type) => hasType(value, type))) &&
      others.failure(value) === undefined &&
      (typeof value !== 'string' || matches(value))
    );
  });
}
