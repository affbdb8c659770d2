import { below, isSchemaObject, limitsOf, type SchemaObject, unsupportedSchema } from './schema-keywords.ts';

/** Patterns that must all match: not written by a schema's author, but made where two schemas are merged. */
class Patterns {
  readonly all: readonly unknown[];

  constructor(all: readonly unknown[]) {
    this.all = all;
  }
}

/** The patterns in the keyword of a schema that may be merged. */
export function patternsOf(pattern: unknown): readonly unknown[] {
  return pattern instanceof Patterns ? pattern.all : pattern === undefined ? [] : [pattern];
}

/** Two schemas as one: what is valid for both. Only where that can be written as one schema. */
export function mergeSchemas(one: SchemaObject, other: SchemaObject, path: string): SchemaObject {
  checkTuples(one, other, path);
  const merged: Record<string, unknown> = { ...one };
  for (const [keyword, value] of Object.entries(other)) {
    const mine = one[keyword];
    merged[keyword] = mine === undefined || same(mine, value) ? value : mergeKeyword(keyword, mine, value, path);
  }
  return closeProperties(merged, one, other, path);
}

/** What applies to the items after those with places of their own depends on both keywords of one schema. */
function checkTuples(one: SchemaObject, other: SchemaObject, path: string): void {
  for (const [mine, theirs] of [
    [one, other],
    [other, one],
  ] as const) {
    for (const keyword of ['prefixItems', 'items']) {
      const places = mine[keyword];
      const others = theirs['items'] ?? theirs['prefixItems'];
      if (!Array.isArray(places) || others === undefined) continue;
      if (same(places, theirs[keyword]) && same(mine['items'], theirs['items'])) continue;
      throw unsupportedSchema(path, keyword, 'two schemas that must both hold say what the items are');
    }
  }
}

function mergeKeyword(keyword: string, mine: unknown, value: unknown, path: string): unknown {
  if (keyword === 'type') return mergeTypes(mine, value);
  if (keyword === 'required') return [...new Set([...listOf(mine), ...listOf(value)])];
  if (keyword === 'enum') {
    const wanted = new Set(listOf(value).map(canonical));
    return listOf(mine).filter((item) => wanted.has(canonical(item)));
  }
  if (keyword === 'properties' && isSchemaObject(mine) && isSchemaObject(value)) {
    const both = Object.entries(value).map(
      ([name, schema]) => [name, allOf(Object.hasOwn(mine, name) ? mine[name] : undefined, schema)] as const,
    );
    return { ...mine, ...Object.fromEntries(both) };
  }
  if (keyword === 'items' || keyword === 'propertyNames') return allOf(mine, value);
  // The properties that it is about are handled by `closeProperties`.
  if (keyword === 'additionalProperties') return mine === false || value === false ? false : allOf(mine, value);
  if (typeof mine === 'number' && typeof value === 'number') {
    if (/^(min|exclusiveMin)/.test(keyword)) return Math.max(mine, value);
    if (/^(max|exclusiveMax)/.test(keyword)) return Math.min(mine, value);
  }
  if (keyword === 'pattern') return new Patterns([...patternsOf(mine), ...patternsOf(value)]);
  if (keyword === 'anyOf') {
    const [options, wanted] = [listOf(mine), listOf(value)];
    if (options.length * wanted.length <= MOST_OPTIONS)
      return options.flatMap((option) => wanted.map((other) => allOf(option, other)));
  }
  throw unsupportedSchema(path, keyword, 'two schemas that must both hold have it with different values');
}

const MOST_OPTIONS = 100;

/** Where one schema allows no other properties, those that only the other one has must be absent. */
function closeProperties(
  merged: Record<string, unknown>,
  one: SchemaObject,
  other: SchemaObject,
  path: string,
): SchemaObject {
  for (const [closed, open] of [
    [one, other],
    [other, one],
  ] as const) {
    const rest = closed['additionalProperties'];
    if (rest === undefined || rest === true || !isSchemaObject(merged['properties'])) continue;
    const names = Object.keys(isSchemaObject(open['properties']) ? open['properties'] : {});
    const own = isSchemaObject(closed['properties']) ? closed['properties'] : {};
    const properties = { ...merged['properties'] };
    for (const name of names) if (!Object.hasOwn(own, name)) properties[name] = allOf(properties[name], rest);
    merged['properties'] = properties;
  }
  // Checks it as any other schema: what was merged is written by us, what was taken over is not.
  return limitsOf(merged, below(path, 'allOf'));
}

/** What is valid for both; absent is as true. */
function allOf(one: unknown, other: unknown): unknown {
  if (one === undefined || one === true) return other;
  if (other === undefined || other === true) return one;
  return one === false || other === false ? false : { allOf: [one, other] };
}

function mergeTypes(mine: unknown, value: unknown): unknown {
  const [a, b] = [mine, value].map((types) => (Array.isArray(types) ? types : [types]));
  const wanted = (type: unknown, types: unknown[] = []): boolean =>
    types.includes(type) || (type === 'integer' && types.includes('number'));
  const both = [...(a ?? []).filter((type) => wanted(type, b)), ...(b ?? []).filter((type) => wanted(type, a))];
  return [...new Set(both)];
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** The same text for values that are the same, whatever the order of their keys. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    isSchemaObject(inner) ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1))) : inner,
  );
}

/** Whether two values of JSON are the same, whatever the order of their keys. */
export function same(one: unknown, other: unknown): boolean {
  if (one === other) return true;
  if (Array.isArray(one) && Array.isArray(other)) {
    return one.length === other.length && one.every((item, index) => same(item, other[index]));
  }
  if (!isSchemaObject(one) || !isSchemaObject(other)) return false;
  const keys = Object.keys(one);
  return (
    keys.length === Object.keys(other).length &&
    keys.every((key) => Object.hasOwn(other, key) && same(one[key], other[key]))
  );
}
