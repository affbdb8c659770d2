// size: a table of schemas, what each accepts, and what is refused.
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, test } from 'vitest';
import { GrammarError } from '../../../worker/grammar/byte-machine.ts';
import { CompileClock } from '../../../worker/grammar/compile-clock.ts';
import { compileJsonSchema } from '../../../worker/grammar/json-schema.ts';
import { xorshift } from '../../random.ts';
import { accepts, randomText } from './walk.ts';

const cases: [name: string, schema: unknown, accepted: unknown[]][] = [
  ['any value', true, [1, 'x', null, { a: [true] }]],
  ['an object', { type: 'object' }, [{}, { a: 1 }]],
  [
    'properties in order',
    { type: 'object', properties: { a: { type: 'string' }, b: { type: 'integer' } }, required: ['a'] },
    [{ a: 'x' }, { a: 'x', b: 3 }],
  ],
  [
    'optional properties',
    { properties: { a: { type: 'null' }, b: { type: 'null' }, c: { type: 'null' } } },
    [{}, { a: null }, { b: null }, { a: null, c: null }, { a: null, b: null, c: null }],
  ],
  ['a map', { type: 'object', additionalProperties: { type: 'integer' } }, [{}, { x: 1, y: 2 }]],
  [
    'named and other properties',
    {
      properties: { ab: { type: 'integer' }, a: { type: 'null' } },
      required: ['ab'],
      additionalProperties: { type: 'string' },
    },
    [{ ab: 1 }, { ab: 1, a: null, abc: 'x', b: 'y' }, { ab: 1, '': 'z' }],
  ],
  ['required without properties', { type: 'object', required: ['q"'] }, [{ 'q"': 1 }]],
  [
    'property names by pattern',
    { type: 'object', propertyNames: { pattern: '^[a-z]{1,4}$' }, additionalProperties: { type: 'boolean' } },
    [{ ab: true }],
  ],
  [
    'counted properties',
    { properties: { a: { const: 1 }, b: { const: 2 }, c: { const: 3 } }, minProperties: 2, maxProperties: 2 },
    [
      { a: 1, b: 2 },
      { b: 2, c: 3 },
    ],
  ],
  ['an enum', { enum: ['red', 'green', 3, null, { a: [1, 'x'] }] }, ['red', 3, null, { a: [1, 'x'] }]],
  ['an enum with a type', { type: 'string', enum: ['red', 3] }, ['red']],
  ['an enum and a pattern', { enum: ['ab', 'b', 'xaab', 'a\nb', 3], pattern: 'a.*b' }, ['ab', 'xaab', 3]],
  ['an enum and two patterns', { allOf: [{ enum: ['a1', 'b1', 'a'], pattern: '^a' }, { pattern: '\\d$' }] }, ['a1']],
  ['a const and a slow pattern', { const: `${'a'.repeat(5000)}!`, pattern: '^(a+)+!$' }, [`${'a'.repeat(5000)}!`]],
  ['an array', { type: 'array', items: { type: 'boolean' }, minItems: 1, maxItems: 3 }, [[true], [true, false, true]]],
  [
    'an array without a limit',
    { type: 'array', items: { type: 'integer' }, minItems: 2 },
    [
      [1, 2],
      [1, 2, 3, 4],
    ],
  ],
  ['a tuple', { prefixItems: [{ type: 'integer' }, { type: 'string' }], items: false, minItems: 2 }, [[1, 'x']]],
  [
    'a tuple of draft 7',
    { items: [{ type: 'integer' }, { type: 'string' }], additionalItems: { type: 'null' }, minItems: 1 },
    [[1], [1, 'x', null, null]],
  ],
  [
    'different items',
    { type: 'array', items: { enum: ['a', 'b', 'c'] }, uniqueItems: true, minItems: 1, maxItems: 2 },
    [['a'], ['a', 'c']],
  ],
  ['a length', { type: 'string', minLength: 2, maxLength: 3 }, ['ab', 'éüñ', '"\\"']],
  ['a pattern', { type: 'string', pattern: '^\\d{3}-[a-c"]+$' }, ['123-ab', '000-"']],
  ['a pattern anywhere', { type: 'string', pattern: 'ab' }, ['ab', 'xabx']],
  ['a pattern and a length', { type: 'string', pattern: '^[a-z]+\\d*$', minLength: 3, maxLength: 5 }, ['abc', 'ab123']],
  [
    'a pattern with lookaheads',
    { type: 'string', pattern: '^(?=.*\\d)(?!.*aa)[a-z\\d]{3}$' },
    ['ab1', '1aba'.slice(0, 3)],
  ],
  ['a format and a pattern', { type: 'string', format: 'date', pattern: '^2\\d{3}-0' }, ['2026-01-31']],
  [
    'several patterns',
    { type: 'string', allOf: [{ pattern: '^a' }, { pattern: 'b$' }, { pattern: 'c' }] },
    ['acb', 'abcb'],
  ],
  [
    'property names by an enum',
    {
      type: 'object',
      propertyNames: { type: 'string', enum: ['a', 'b'] },
      additionalProperties: { type: 'integer' },
      required: ['b'],
    },
    [{ a: 1, b: 2 }, { b: 3 }],
  ],
  ['integers', { type: 'integer', minimum: -5, maximum: 12 }, [-5, -1, 0, 7, 12]],
  ['large integers', { type: 'integer', exclusiveMinimum: 999, maximum: 20510 }, [1000, 1999, 9999, 10000, 20510]],
  ['no integers below', { type: 'integer', minimum: 7 }, [7, 10, 123456789012345]],
  ['numbers', { type: 'number', minimum: 0, maximum: 1 }, [0, 0.5, 1, 0.999999]],
  ['numbers without their bounds', { type: 'number', exclusiveMinimum: 0, exclusiveMaximum: 1 }, [0.1, 0.000001]],
  ['numbers between decimals', { type: 'number', minimum: -1.25, maximum: 3.75 }, [-1.25, -1.2, -0.5, 0, 3.7, 3.75]],
  ['small numbers', { type: 'number', minimum: 1e-7, maximum: 2.5e-7 }, []],
  ['negative numbers', { type: 'number', maximum: -2.5 }, [-2.5, -3, -2.6]],
  ['negative numbers only', { type: 'number', exclusiveMaximum: 0 }, [-0.1, -3]],
  ['multiples', { type: 'integer', multipleOf: 5, minimum: 1, maximum: 20 }, [5, 10, 20]],
  [
    'a union',
    {
      anyOf: [
        { type: 'string', maxLength: 4 },
        { type: 'null' },
        { type: 'object', properties: { a: { type: 'integer' } }, required: ['a'] },
      ],
    },
    ['abcd', null, { a: 1 }],
  ],
  ['several types', { type: ['string', 'integer', 'null'] }, ['x', 1, null]],
  [
    'a union by kind',
    {
      oneOf: [
        { type: 'object', properties: { kind: { const: 'a' }, x: { type: 'integer' } }, required: ['kind', 'x'] },
        { type: 'object', properties: { kind: { const: 'b' } }, required: ['kind'] },
      ],
    },
    [{ kind: 'a', x: 1 }, { kind: 'b' }],
  ],
  [
    'a reference',
    {
      $defs: { p: { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'] } },
      type: 'array',
      items: { $ref: '#/$defs/p' },
    },
    [[], [{ n: 1 }, { n: 2 }]],
  ],
  [
    'recursion',
    {
      type: 'object',
      properties: { name: { type: 'string' }, children: { type: 'array', items: { $ref: '#' } } },
      required: ['name', 'children'],
    },
    [{ name: 'x', children: [{ name: 'y', children: [] }] }],
  ],
  [
    'all of',
    {
      allOf: [
        { type: 'object', properties: { a: { type: 'integer' } }, required: ['a'] },
        { properties: { b: { type: 'string' }, a: { minimum: 3 } }, required: ['b'] },
      ],
    },
    [{ a: 3, b: 'x' }],
  ],
  [
    'a reference with siblings',
    { $defs: { n: { type: 'integer', minimum: 0 } }, $ref: '#/$defs/n', maximum: 5 },
    [0, 5],
  ],
  ...['date', 'time', 'date-time', 'duration', 'email', 'hostname', 'ipv4', 'ipv6', 'uuid', 'uri'].map(
    (format): [string, unknown, unknown[]] => [`the format ${format}`, { type: 'string', format }, []],
  ),
  [
    'recursion through an option, as pydantic writes it',
    {
      $defs: {
        Node: {
          type: 'object',
          properties: { v: { type: 'integer' }, next: { anyOf: [{ $ref: '#/$defs/Node' }, { type: 'null' }] } },
          required: ['v', 'next'],
        },
      },
      $ref: '#/$defs/Node',
    },
    [
      { v: 1, next: null },
      { v: 1, next: { v: 2, next: null } },
    ],
  ],
  [
    'recursion through all of one',
    {
      $defs: { N: { type: 'object', properties: { n: { description: 'more', allOf: [{ $ref: '#/$defs/N' }] } } } },
      $ref: '#/$defs/N',
    },
    [{}, { n: { n: {} } }],
  ],
  [
    'property names by one of two patterns',
    {
      type: 'object',
      propertyNames: { anyOf: [{ pattern: '^a' }, { pattern: '^b' }] },
      additionalProperties: { type: 'integer' },
    },
    [{ ab: 1, b: 2 }],
  ],
  [
    'properties with names that objects have',
    {
      type: 'object',
      allOf: [{ properties: { a: { type: 'null' } } }, { properties: { constructor: { type: 'string' } } }],
    },
    [{ a: null, constructor: 'x' }],
  ],
  ['enough required names', { type: 'object', required: ['a', 'b'], minProperties: 2 }, [{ a: 1, b: 2 }]],
];

/** JSON with the separators that are documented. */
const written = (value: unknown): string =>
  (JSON.stringify(value, null, 1) ?? '').replace(/\n\s*/g, (_gap, index: number, all: string) =>
    /[[{]$/.test(all.slice(0, index)) || /^\n\s*[\]}]/.test(all.slice(index)) ? '' : ' ',
  );

describe('texts follow the schema', () => {
  test.each(cases)('%s', (_name, schema, accepted) => {
    const validate = new Ajv2020({ strict: false, ownProperties: true, formats: formats() }).compile(
      legacy(schema) as object,
    );
    const machine = compileJsonSchema(schema);
    const random = xorshift(7);
    for (let count = 0; count < 40; count++) {
      const text = randomText(machine, random, 60);
      if (text === undefined) continue;
      expect(validate(JSON.parse(text)), `${text}: ${JSON.stringify(validate.errors)}`).toBe(true);
    }
    for (const value of accepted) expect(accepts(machine, written(value)), JSON.stringify(value)).toBe(true);
  });
});

const refusals: [schema: unknown, message: string][] = [
  [
    { type: 'array', minItems: 1, allOf: [{ prefixItems: [{ type: 'string' }] }, { items: { type: 'integer' } }] },
    "'prefixItems' at # cannot be enforced: two schemas that must both hold say what the items are",
  ],
  [
    { type: 'object', properties: { foo: { type: 'integer' } }, propertyNames: { maxLength: 2 } },
    "'propertyNames' at # cannot be enforced: beside properties or required it is not known",
  ],
  [
    { type: 'object', properties: {}, additionalProperties: { type: 'integer' }, minProperties: 2 },
    "'minProperties' at # cannot be enforced",
  ],
  [
    { type: 'number', exclusiveMinimum: 0.30000000000000004 },
    "'exclusiveMinimum' at # cannot be enforced: a bound of more than 14 digits is not exact",
  ],
  [
    { type: 'integer', multipleOf: 2, minimum: 2e16, maximum: 2e16 },
    "'multipleOf' at # cannot be enforced: with bounds so large it is not exact",
  ],
  [{ enum: ['aaa!'], pattern: '^(a+)+$' }, 'the schema at # cannot be enforced: no value is valid'],
  [{ enum: ['a', '\ud800'], pattern: '(?<=a)' }, "'pattern' at # cannot be enforced: A lookbehind"],
  [{ const: '\ud800', pattern: '.' }, 'the schema at # cannot be enforced: no value is valid'],
  [{ const: {}, minProperties: 1 }, "'minProperties' at # cannot be enforced: beside enum or const it is not known"],
  [{ enum: null }, "'enum' at # cannot be enforced: it is null"],
  [
    { type: 'array', contains: { type: 'integer' } },
    "'contains' at # cannot be enforced: the keyword is not known here. Remove it, or check the answer yourself",
  ],
  [{ properties: { a: { not: { type: 'null' } } } }, "'not' at #/properties/a cannot be enforced"],
  [
    { properties: { 'x/y': { type: 'array', uniqueItems: true } } },
    "'uniqueItems' at #/properties/x~1y cannot be enforced: it can be enforced only where all items follow one enum",
  ],
  [{ type: 'string', pattern: '(?<=a)' }, "'pattern' at # cannot be enforced: A lookbehind"],
  [{ type: 'string', format: 'jwt' }, "'format' at # cannot be enforced: the formats are date, time"],
  [{ type: 'string', pattern: '^a{4}$', maxLength: 3 }, 'the schema at # cannot be enforced: no value is valid'],
  [{ type: 'string', pattern: 'a', format: 'url' }, "'format' at # cannot be enforced: the formats are date, time"],
  [
    { oneOf: [{ type: 'number' }, { type: 'integer' }] },
    "'oneOf' at # cannot be enforced: more than one of its schemas may be valid at once",
  ],
  [{ $ref: 'https://example.com/schema' }, "'$ref' at # cannot be enforced: only references within the schema"],
  [{ $ref: '#/$defs/missing' }, '#/$defs/missing is not in the schema'],
  [{ $ref: '#' }, 'no value is valid'],
  [{ type: 'number', multipleOf: 0.1 }, "'multipleOf' at # cannot be enforced: only integers"],
  [{ type: 'integer', multipleOf: 7 }, 'it takes minimum and maximum'],
  [{ type: 'object', properties: { a: { $ref: '#' } }, required: ['a'] }, 'no value is valid'],
  [{ type: 'text' }, "'type' at # cannot be enforced: the types are object"],
  [{ type: 'integer', minimum: 3, maximum: 2 }, 'the schema at # cannot be enforced: no value is valid'],
  [false, 'the schema at # cannot be enforced: no value is valid'],
  ['text', 'a schema is an object or a boolean'],
  [
    { allOf: [{ minLength: 1, format: 'date' }, { format: 'time' }] },
    "'format' at # cannot be enforced: two schemas that must both hold have it with different values",
  ],
  [{ type: 'array', minItems: 5000 }, "'minItems' at # cannot be enforced: it is above 1000"],
  [{ type: 'object', minProperties: 2 }, "'minProperties' at # cannot be enforced"],
];

test.each(refusals)('%j is refused by name', (schema, message) => {
  expect(() => compileJsonSchema(schema)).toThrow(message);
});

const bombs: [name: string, schema: unknown][] = [
  [
    'referred to again and again',
    {
      $defs: {
        a: {
          properties: Object.fromEntries(Array.from({ length: 900 }, (_, index) => [`property ${index}`, false])),
          additionalProperties: true,
        },
      },
      anyOf: Array.from({ length: 10 }, (_, index) => ({ $ref: '#/$defs/a', minProperties: index - index })),
    },
  ],
  [
    'full of values',
    {
      allOf: Array.from({ length: 300 }, (_, index) => ({
        enum: Array.from({ length: 100 }, (__, value) => (index % 2 === 0 ? value : 99 - value)),
      })),
    },
  ],
  [
    'of many unique values',
    { type: 'array', uniqueItems: true, items: { enum: Array.from({ length: 12_000 }, (_, value) => value) } },
  ],
  ['one of many', { oneOf: Array.from({ length: 2500 }, (_, value) => ({ const: value })) }],
  ['nested too deep', nested(5000)],
  ['merged without end', { allOf: [{ $ref: '#' }, { $ref: '#' }] }],
  [
    'options of options',
    {
      allOf: Array.from({ length: 12 }, (_, index) => ({
        anyOf: Array.from({ length: 9 }, (__, option) => ({ properties: { [`${index}${option}`]: true } })),
      })),
    },
  ],
  [
    'many repeats',
    {
      type: 'array',
      maxItems: 1000,
      items: {
        type: 'array',
        maxItems: 1000,
        items: { type: 'array', maxItems: 1000, items: { type: 'string', maxLength: 1000 } },
      },
    },
  ],
  [
    'many properties',
    { properties: Object.fromEntries(Array.from({ length: 3000 }, (_, index) => [`p${index}`, { type: 'integer' }])) },
  ],
  [
    'counted properties',
    {
      minProperties: 50,
      properties: Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`p${index}`, true])),
    },
  ],
];

test('what follows an optional property is not written out for each way to get there', () => {
  const names = Array.from({ length: 35 }, (_, index) => `p${index}`);
  const schema = {
    type: 'object',
    properties: Object.fromEntries(names.map((name) => [name, { type: 'string', maxLength: 1000 }])),
    required: names.filter((_, index) => index % 2 === 0),
    additionalProperties: false,
  };
  const machine = compileJsonSchema(schema);
  const accepted = (taken: string[]): boolean =>
    accepts(machine, written(Object.fromEntries(taken.map((name) => [name, '']))));
  expect([names, schema.required, names.slice(1)].map(accepted)).toEqual([true, true, false]);
});

test.each(bombs)('a schema that is %s ends at once', (_name, schema) => {
  const start = performance.now();
  try {
    const machine = compileJsonSchema(schema, new CompileClock(300));
    let state = machine.initial;
    for (const byte of new TextEncoder().encode('{"p1": 1')) state = machine.transition(state, byte);
  } catch (error) {
    expect(error).toBeInstanceOf(GrammarError);
  }
  expect(performance.now() - start).toBeLessThan(5000);
});

function nested(depth: number): unknown {
  let schema: unknown = { type: 'integer' };
  for (let level = 0; level < depth; level++) schema = { type: 'array', items: schema };
  return schema;
}

/** Draft 2020-12's names for draft 7's tuples. */
function legacy(schema: unknown): unknown {
  if (typeof schema !== 'object' || schema === null || !('items' in schema) || !Array.isArray(schema.items))
    return schema;
  const { items, additionalItems, ...rest } = schema as { items: unknown[]; additionalItems?: unknown };
  return { ...rest, prefixItems: items, items: additionalItems };
}

function formats(): Record<string, (text: string) => boolean> {
  const parsed = (text: string): boolean => !Number.isNaN(Date.parse(text));
  return {
    date: (text) => parsed(text) && new Date(text).toISOString().startsWith(text),
    time: (text) => parsed(`2020-01-01T${text}`),
    'date-time': parsed,
    duration: (text) => /^P(?=.)(\d+W|(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+S)?)?)$/.test(text),
    email: (text) => /^[^@\s]+@[^@\s]+\.[a-z]+$/.test(text),
    hostname: (text) => text.split('.').every((label) => /^[a-z\d]([a-z\d-]{0,61}[a-z\d])?$/.test(label)),
    ipv4: (text) =>
      text.split('.').length === 4 &&
      text.split('.').every((part) => String(Number(part)) === part && Number(part) < 256),
    ipv6: (text) => new URL(`http://[${text}]/`).hostname.startsWith('['),
    uuid: (text) => /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/.test(text),
    uri: (text) => URL.canParse(text),
  };
}
