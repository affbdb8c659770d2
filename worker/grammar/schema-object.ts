import { choice, EMPTY, NOTHING, repeat, sequence, text } from './build-expression.ts';
import { codePoints, complement } from './code-points.ts';
import type { Expression } from './expression.ts';
import type { SchemaContext } from './schema-context.ts';
import { ANY_CHARACTER, BETWEEN, character, listOf, member, quoted } from './json-text.ts';
import { ordered } from './ordered-list.ts';
import {
  below,
  countOf,
  isSchemaObject,
  namedSchemasOf,
  type SchemaObject,
  stringsOf,
  unsupportedSchema,
} from './schema-keywords.ts';
import { allowedValues } from './schema-values.ts';

/** The members of an object, in the order of `properties`; then others, where they are asked for. */
export function objectMembers(given: SchemaObject, path: string, context: SchemaContext): Expression {
  const schema = withListedNames(given, path, context);
  const properties = namedSchemasOf(schema, 'properties', path);
  const required = stringsOf(schema, 'required', path);
  if (properties.size + required.length > MOST_PROPERTIES) {
    throw unsupportedSchema(path, 'properties', `there are more than ${MOST_PROPERTIES}`);
  }
  const extra = extraMember(schema, properties, path, context);
  const counts = memberCounts(schema, path);
  const parts = [...properties].map(([name, value]) => ({
    expression: member(text(JSON.stringify(name)), context.visit(value, below(path, 'properties', name))),
    required: required.includes(name),
  }));
  for (const name of required.filter((wanted) => !properties.has(wanted))) {
    const value = schema['additionalProperties'] ?? true;
    parts.push({
      expression: member(text(JSON.stringify(name)), context.visit(value, below(path, 'additionalProperties'))),
      required: true,
    });
  }
  if (extra === NOTHING) return ordered(parts, counts, (expression) => context.name(expression));
  if (parts.length === 0) return listOf(extra, counts.min, counts.max);
  if (counts.min > required.length || counts.max < Infinity) {
    throw unsupportedSchema(path, counts.max < Infinity ? 'maxProperties' : 'minProperties', NOT_COUNTED);
  }
  const more = context.name(repeat(sequence(BETWEEN, extra)));
  return ordered(parts, counts, (expression) => context.name(expression), { others: more, alone: listOf(extra) });
}

/** Where `propertyNames` lists the names, these are the properties that there are, each once. */
function withListedNames(schema: SchemaObject, path: string, context: SchemaContext): SchemaObject {
  const at = below(path, 'propertyNames');
  const names = isSchemaObject(schema['propertyNames']) ? context.flatten(schema['propertyNames'], at) : {};
  if (names['enum'] === undefined && names['const'] === undefined) return schema;
  const named = namedSchemasOf(schema, 'properties', path);
  const rest = schema['additionalProperties'] ?? named.size === 0;
  const listed = new Set(allowedValues(names, at, context.clock).filter((name) => typeof name === 'string'));
  const { propertyNames: _, ...others } = schema;
  const kept = [...named].filter(([name]) => listed.has(name));
  const required = stringsOf(schema, 'required', path).filter((name) => !listed.has(name));
  const properties = {
    ...Object.fromEntries(kept),
    ...Object.fromEntries([...listed].filter((name) => !named.has(name)).map((name) => [name, rest])),
    // What must be there and has no valid name: nothing is valid.
    ...Object.fromEntries(required.map((name) => [name, false])),
  };
  return { ...others, properties, additionalProperties: false };
}

const MOST_PROPERTIES = 1000;
const NOT_COUNTED = 'beside properties and others that are not named, they cannot be counted';

function memberCounts(schema: SchemaObject, path: string): { min: number; max: number } {
  const min = countOf(schema, 'minProperties', path) ?? 0;
  // More than one member without a name could have the same name, and count once.
  const named = namedSchemasOf(schema, 'properties', path).size + stringsOf(schema, 'required', path).length;
  if (named === 0 && min > 1) {
    throw unsupportedSchema(path, 'minProperties', 'above 1 it can be enforced only for properties with names');
  }
  return { min, max: countOf(schema, 'maxProperties', path) ?? Infinity };
}

/** A member that `properties` does not name; `NOTHING` where there is none. */
function extraMember(
  schema: SchemaObject,
  properties: ReadonlyMap<string, unknown>,
  path: string,
  context: SchemaContext,
): Expression {
  const rest = schema['additionalProperties'];
  const known = [...new Set([...properties.keys(), ...stringsOf(schema, 'required', path)])];
  const { propertyNames: names = true } = schema;
  if (names !== true && known.length > 0) {
    throw unsupportedSchema(path, 'propertyNames', 'beside properties or required it is not known');
  }
  // A small model that may add properties does so. So they must be asked for, or be all that the object has.
  if (rest === false || (rest === undefined && properties.size > 0)) return NOTHING;
  const value = context.name(context.visit(rest ?? true, below(path, 'additionalProperties')));
  if (names === true) return context.name(member(quoted(otherThan(known, context)), value));
  const name = context.visit({ type: 'string', allOf: [names] }, below(path, 'propertyNames'));
  return context.name(member(name, value));
}

/** The content of a string that is none of these. */
function otherThan(names: readonly string[], context: SchemaContext): Expression {
  if (names.length === 0) return repeat(ANY_CHARACTER);
  context.clock.look();
  const rest = new Map<number, string[]>();
  for (const name of names) {
    const point = name.codePointAt(0);
    if (point === undefined) continue;
    const tails = rest.get(point) ?? [];
    tails.push(name.slice(String.fromCodePoint(point).length));
    rest.set(point, tails);
  }
  const others = complement(codePoints([...rest.keys()].map((point) => [point, point])));
  const deeper = [...rest].map(([point, tails]) => sequence(character([[point, point]]), otherThan(tails, context)));
  return context.name(
    choice(names.includes('') ? NOTHING : EMPTY, sequence(character(others), repeat(ANY_CHARACTER)), ...deeper),
  );
}
