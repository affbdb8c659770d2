import { choice, EMPTY, NOTHING, repeat, sequence, text } from './build-expression.ts';
import type { Expression } from './expression.ts';
import type { SchemaContext } from './schema-context.ts';
import { BETWEEN, listOf, written } from './json-text.ts';
import { canonical } from './merge-schemas.ts';
import { ordered } from './ordered-list.ts';
import { below, countOf, isSchemaObject, type SchemaObject, schemasOf, unsupportedSchema } from './schema-keywords.ts';
import { allowedValues } from './schema-values.ts';

/** Longer arrays are not written where the schema has a limit above this; a schema that needs longer ones is refused. */
const MOST_ITEMS = 1000;

/** What stands between the brackets of an array. */
export function arrayItems(schema: SchemaObject, path: string, context: SchemaContext): Expression {
  const named = Array.isArray(schema['items']) ? 'items' : 'prefixItems';
  const prefix = schemasOf(schema, named, path);
  const others = schema[named === 'items' ? 'additionalItems' : 'items'];
  const least = countOf(schema, 'minItems', path) ?? 0;
  const limit = countOf(schema, 'maxItems', path) ?? Infinity;
  if (least > limit) throw unsupportedSchema(path, 'minItems', 'it is above maxItems');
  if (least > MOST_ITEMS) throw unsupportedSchema(path, 'minItems', `it is above ${MOST_ITEMS}`);
  if (schema['uniqueItems'] === true && limit > 1)
    return uniqueItems(schema, { min: least, max: limit }, path, context);
  const most = limit === Infinity ? limit : Math.max(least, Math.min(limit, MOST_ITEMS));
  // As with properties, items after the named ones only where they are asked for.
  const isOpen = prefix.length === 0 || others !== undefined || least > prefix.length;
  const more = context.name(isOpen ? context.visit(others ?? true, below(path, 'items')) : NOTHING);
  if (prefix.length === 0) return listOf(more, least, most);
  const parts = prefix.map((part, index) => context.visit(part, below(path, named, index))).slice(0, most);
  return tuple(parts, least, repeat(sequence(BETWEEN, more), Math.max(0, least - parts.length), most - parts.length));
}

/** Items with a place of their own, then more. Each can only be there if all before it are. */
function tuple(parts: readonly Expression[], least: number, more: Expression): Expression {
  let rest = more;
  for (const [index, part] of [...parts.entries()].toReversed()) {
    const here = sequence(index === 0 ? EMPTY : BETWEEN, part, rest);
    rest = index < least ? here : choice(EMPTY, here);
  }
  return rest;
}

/** Of fixed values, each at most once and in the schema's order, so that none is there twice. */
function uniqueItems(
  schema: SchemaObject,
  counts: { min: number; max: number },
  path: string,
  context: SchemaContext,
): Expression {
  const at = below(path, 'items');
  const items = isSchemaObject(schema['items']) ? context.flatten(schema['items'], at) : {};
  if (!Array.isArray(items['enum']) || schema['prefixItems'] !== undefined) {
    throw unsupportedSchema(path, 'uniqueItems', 'it can be enforced only where all items follow one enum');
  }
  const values = allowedValues(items, at, context.clock);
  const different = new Map(values.map((value) => [canonical(value), value]));
  if (different.size > MOST_ITEMS)
    throw unsupportedSchema(path, 'uniqueItems', `there are more than ${MOST_ITEMS} values`);
  const parts = [...different.values()].map((value) => ({ expression: text(written(value)), required: false }));
  return ordered(parts, counts, (expression) => context.name(expression));
}
