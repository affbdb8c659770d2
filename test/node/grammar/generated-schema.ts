import { integer, pick, type Random } from '../../random.ts';

const NAMES = ['name', 'count', 'tags', 'a b', 'größe', 'q"uote', 'nested', 'x', '', 'price'];
const PATTERNS = ['^\\d{4}-\\d{2}$', '^[A-Z]{2,5}$', 'x+y', '^(?:yes|no)$', '^[^"]{1,8}$'];
const FORMATS = ['date', 'time', 'date-time', 'email', 'uuid', 'ipv4', 'hostname', 'uri', 'duration'];
const VALUES = ['red', 'grün', 'a "b"', '', 0, -1.5, 1e3, true, false, null, [1, 'x'], { k: [null] }];

type Schema = boolean | Record<string, unknown>;

/** A schema of the kinds that can be enforced, and now and then one that cannot. Values are small, so that texts end. */
export function generatedSchema(random: Random, depth = 0): Schema {
  const leaf = [string, number, fixed, (): Schema => ({ type: pick(random, ['boolean', 'null']) })];
  const inner = [object, object, array, union, tuple, merged, recursive];
  if (random() < 0.02) return refused(random);
  const kind = depth < 3 && random() < (depth === 0 ? 0.85 : 0.4) ? pick(random, inner) : pick(random, leaf);
  return kind(random, depth + 1);
}

function string(random: Random): Schema {
  const minLength = integer(random, 4);
  return pick<Schema>(random, [
    { type: 'string', maxLength: 12 },
    { type: 'string', minLength, maxLength: minLength + integer(random, 9) },
    { type: 'string', pattern: pick(random, PATTERNS) },
    { type: 'string', format: pick(random, FORMATS) },
    { type: ['string', 'null'], maxLength: 5, description: 'a note' },
  ]);
}

function number(random: Random): Schema {
  const low = integer(random, 2000) - 1000;
  const high = low + integer(random, 1000);
  const shift = pick(random, [1, 10, 1000]);
  return pick<Schema>(random, [
    { type: 'integer', minimum: low, maximum: high },
    { type: 'integer', exclusiveMinimum: low, maximum: high + 1 },
    { type: 'number', minimum: low / shift, maximum: high / shift },
    { type: 'number', exclusiveMinimum: low / shift, exclusiveMaximum: (high + 1) / shift },
    { type: 'integer', minimum: 0, maximum: 100, multipleOf: 1 + integer(random, 20) },
    { type: 'number' },
    { minimum: low },
  ]);
}

function fixed(random: Random): Schema {
  const values = Array.from({ length: 1 + integer(random, 4) }, () => pick(random, VALUES));
  return random() < 0.3 ? { const: values[0] } : { enum: values };
}

function object(random: Random, depth: number): Schema {
  const names = NAMES.filter(() => random() < 0.35);
  const properties = Object.fromEntries(names.map((name) => [name, generatedSchema(random, depth)]));
  return {
    type: 'object',
    properties,
    required: names.filter(() => random() < 0.6),
    ...(random() < 0.6 && { additionalProperties: false }),
    ...(random() < 0.1 && { additionalProperties: { type: 'integer', minimum: 0, maximum: 9 } }),
  };
}

function array(random: Random, depth: number): Schema {
  const minItems = integer(random, 3);
  if (random() < 0.15) return { type: 'array', items: { enum: ['a', 'b', 'c', 'd'] }, uniqueItems: true, minItems };
  return { type: 'array', items: generatedSchema(random, depth), minItems, maxItems: minItems + integer(random, 3) };
}

function tuple(random: Random, depth: number): Schema {
  const prefixItems = Array.from({ length: 1 + integer(random, 3) }, () => generatedSchema(random, depth));
  return { type: 'array', prefixItems, items: false, minItems: integer(random, prefixItems.length + 1) };
}

function union(random: Random, depth: number): Schema {
  return { anyOf: Array.from({ length: 1 + integer(random, 3) }, () => generatedSchema(random, depth)) };
}

function merged(random: Random, depth: number): Schema {
  const name = pick(random, NAMES);
  return {
    allOf: [
      object(random, depth),
      { required: [name], properties: { [name]: { type: ['integer', 'boolean'], maximum: 9 } } },
    ],
  };
}

function recursive(random: Random, depth: number): Schema {
  if (depth > 1) return string(random);
  const node = {
    type: 'object',
    properties: { v: generatedSchema(random, 3), next: { $ref: '#/$defs/node' } },
    required: ['v'],
  };
  return { $defs: { node }, anyOf: [{ $ref: '#/$defs/node' }, { type: 'null' }] };
}

function refused(random: Random): Schema {
  return pick<Schema>(random, [
    { not: { type: 'null' } },
    { type: 'array', contains: { type: 'integer' } },
    { type: 'string', pattern: '(?<=a)b' },
    { if: { type: 'null' }, then: false },
    { type: 'object', dependentRequired: { a: ['b'] } },
    { $ref: 'other.json' },
  ]);
}
