import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, test } from 'vitest';
import { GrammarError } from '../../../worker/grammar/byte-machine.ts';
import { Grammar } from '../../../worker/grammar/grammar-chunk.ts';
import { compileJsonSchema } from '../../../worker/grammar/json-schema.ts';
import { SchemaValidator } from '../../../worker/grammar/schema-validator.ts';
import { isAllowed } from '../../../worker/sampling/token-constraint.ts';
import { pick, type Random, xorshift } from '../../random.ts';
import { generatedSchema } from './generated-schema.ts';
import { randomText } from './walk.ts';

/** Something else in place of one part of a value. */
function changed(value: unknown, random: Random): unknown {
  if (typeof value !== 'object' || value === null || random() < 0.2) {
    return pick<unknown>(random, [null, true, 0, -7, 2.5, 1e6, '', 'abcdefghijklmnop', [], {}, [1, 1], { name: 'x' }]);
  }
  const keys = Object.keys(value);
  const key = pick(random, [...keys, 'new']);
  const inside = changed(Object(value)[key], random);
  if (Array.isArray(value)) {
    const items: unknown[] = value;
    if (random() < 0.3) return items.slice(1);
    return key === 'new' ? [...items, inside] : items.with(Number(key), inside);
  }
  const { [key]: _, ...rest } = Object(value);
  return random() < 0.3 ? rest : { ...rest, [key]: inside };
}

/** Undefined for a schema that is refused. */
function compiled(schema: unknown): ReturnType<typeof compileJsonSchema> | undefined {
  try {
    return compileJsonSchema(schema);
  } catch (error) {
    if (error instanceof GrammarError) return undefined;
    throw error;
  }
}

/** Compares the verdicts on a valid value of each generated schema, and on changed ones. */
function compareWithAjv(seeds: number): { valid: number; invalid: number } {
  const counts = { valid: 0, invalid: 0 };
  for (let seed = 1; seed <= seeds; seed++) {
    const random = xorshift(Math.imul(seed, 0x9e3779b1));
    // Patterns are not checked, and ajv has no formats.
    const without = (key: string, value: unknown): unknown =>
      key === 'pattern' || key === 'format' ? undefined : value;
    const schema: unknown = JSON.parse(JSON.stringify(generatedSchema(random)), without);
    const machine = compiled(schema);
    const text = machine && randomText(machine, random, 60);
    // ajv takes a required property without a name for one that is there.
    if (text === undefined || JSON.stringify(schema).includes('""')) continue;
    const validate = new Ajv2020({ strict: false }).compile(Object(schema));
    const validator = new SchemaValidator(schema);
    const value: unknown = JSON.parse(text);
    for (const each of [value, ...Array.from({ length: 12 }, () => changed(value, random))]) {
      const failure = validator.failure(each);
      expect(failure === undefined, `${JSON.stringify(schema)}: ${JSON.stringify(each)}: ${failure}`).toBe(
        validate(each),
      );
      counts[failure === undefined ? 'valid' : 'invalid']++;
    }
  }
  return counts;
}

describe.each([
  { seeds: 100, tags: [] },
  { seeds: 400, tags: ['long'] },
])('of $seeds generated schemas', ({ seeds, tags }) => {
  test('says of valid and invalid values what ajv says', { tags }, () => {
    const { valid, invalid } = compareWithAjv(seeds);
    expect(valid).toBeGreaterThan(1.25 * seeds);
    expect(invalid).toBeGreaterThan(1.25 * seeds);
  });
});

test.each<[what: string, schema: unknown, value: unknown, failure: string | undefined]>([
  ['a place', { properties: { a: { items: { type: 'null' } } } }, { a: [null, 1] }, "#/a/1 breaks 'type'"],
  [
    'items of a tuple by their old names',
    { items: [{ const: 1 }], additionalItems: false },
    [1, 2],
    "#/1 breaks 'false'",
  ],
  ['a format', { format: 'date' }, '2026-02-30', "# breaks 'format'"],
  ['names of properties', { propertyNames: { maxLength: 2 } }, { abc: 1 }, "#/abc breaks 'maxLength'"],
  ['characters beyond the first plane as one', { minLength: 2 }, '😀', "# breaks 'minLength'"],
  ['formats that are no format of ours but a name that objects have', { format: '__proto__' }, 'x', undefined],
  ['keywords that are names that objects have', JSON.parse('{"__proto__": 1, "constructor": 1}'), 1, undefined],
  ['members of that name only as their own', { properties: { toString: { type: 'null' } } }, {}, undefined],
])('checks %s', (_what, schema, value, failure) => {
  expect(new SchemaValidator(schema).failure(value)).toBe(failure);
});

test('follows values as deep as grammars allow them', () => {
  const $defs = {
    a: { anyOf: [{ type: 'null' }, { allOf: [{ $ref: '#/$defs/b' }] }] },
    b: { type: 'array', items: { $ref: '#/$defs/a' } },
  };
  const nested = (core: string): unknown => JSON.parse(`${'['.repeat(1000)}${core}${']'.repeat(1000)}`);
  const validator = new SchemaValidator({ $ref: '#/$defs/a', $defs });
  expect([validator.failure(nested('null')), validator.failure(nested('1'))]).toEqual([undefined, "# breaks 'anyOf'"]);
});

test('follows names of members as deep', () => {
  const n = {
    type: 'object',
    propertyNames: { pattern: '^[a-z]+$', maxLength: 3 },
    additionalProperties: { $ref: '#/$defs/n' },
  };
  const nested = (depth: number, core: string): unknown =>
    JSON.parse(`${'{"a":'.repeat(depth)}${core}${'}'.repeat(depth)}`);
  const validator = new SchemaValidator({ $ref: '#/$defs/n', $defs: { n } });
  // One level for `n` and one for `$ref`: among these, names are checked exactly at the limit.
  for (let depth = 40; depth < 60; depth++) {
    expect(validator.failure(nested(depth, '{}'))).toBeUndefined();
    expect(validator.failure(nested(depth, '{"long": {}}'))).toContain("breaks 'maxLength'");
  }
});

test.each([1, 99, 100, 101, 151, 350])('ends where %i references lead back to the first', (count) => {
  const refs = Array.from({ length: count }, (_, index) => [`d${index}`, { $ref: `#/$defs/d${(index + 1) % count}` }]);
  const $defs = Object.fromEntries(refs);
  const validator = new SchemaValidator({ anyOf: [{ type: 'number' }, { $ref: '#/$defs/d0' }], $defs });
  expect(validator.failure(null)).toBeUndefined();
  $defs['d0'].type = 'string';
  expect(validator.failure(null)).toBe("# breaks 'anyOf'");
  expect(validator.failure('text')).toBeUndefined();
});

test('refuses values that JSON cannot write', () => {
  for (const schema of [JSON.parse('{"enum": [1, 1e400]}'), JSON.parse('{"const": {"a": [-1e400]}}')]) {
    expect(() => compileJsonSchema(schema)).toThrow(GrammarError);
  }
});

test('finds no member of an array by a name that is no number', () => {
  const at = (pointer: string): string | undefined =>
    new SchemaValidator({ $ref: pointer, $defs: { list: [{ type: 'null' }] } }).failure(1);
  expect(at('#/$defs/list/0')).toBe("# breaks 'type'");
  expect(() => at('#/$defs/list/')).toThrow(GrammarError);
});

const encoder = new TextEncoder();

/** Reads a text as the answer of a grammar whose tokens are bytes. */
function answer(schema: unknown, text: string): void {
  const bytes = (id: number): Uint8Array => (id < 256 ? Uint8Array.of(id) : new Uint8Array());
  const encode = (of: string): number[] => [...encoder.encode(of)];
  const grammar = new Grammar({ bytes, encode, stopIds: [256] }, 257);
  const constraint = grammar.open({ type: 'json', schema, param: 'schema' }, false)();
  for (const id of [...encoder.encode(text), 256]) {
    expect(isAllowed(constraint.mask(0) ?? new Uint32Array(9), id), `${text} up to byte ${id}`).toBe(true);
    constraint.accept(id);
  }
}

describe('an answer that its grammar allows is valid', () => {
  test('in little time, where options of unions have parts in common', () => {
    const levels = Array.from({ length: 30 }, (_, level) => {
      const items = { $ref: `#/$defs/a${level + 1}` };
      const option = { type: 'array', items, minItems: 1, maxItems: 1 };
      return [`a${level}`, { anyOf: [option, option] }];
    });
    const schema = { $ref: '#/$defs/a0', $defs: Object.fromEntries([...levels, ['a30', { type: 'null' }]]) };
    const start = performance.now();
    answer(schema, `${'['.repeat(30)}null${']'.repeat(30)}`);
    expect(performance.now() - start).toBeLessThan(5000);
  });

  test.each<[what: string, schema: unknown, text: string]>([
    [
      'behind an encoded reference',
      {
        $ref: '#/definitions/Pair%3CA%2CB%3E',
        definitions: { 'Pair<A,B>': { type: 'object', properties: { a: { type: 'string' } } } },
      },
      '{"a": "x"}',
    ],
    [
      'with members named as keywords',
      { enum: [{ pattern: 'striped', n: 1 }, { $id: 'x' }] },
      '{"pattern": "striped", "n": 1}',
    ],
    [
      'beside examples with ids',
      { properties: { a: { type: 'null', example: { id: 1 } }, b: { type: 'null', example: { id: 1 } } } },
      '{"a": null, "b": null}',
    ],
    [
      'where an option has no value and refers to itself',
      {
        anyOf: [{ $ref: '#/$defs/a' }, { type: 'null' }],
        $defs: {
          a: {
            type: 'object',
            properties: { bad: false, list: { type: 'array', items: { $ref: '#/$defs/a' } } },
            required: ['bad'],
          },
        },
      },
      'null',
    ],
    ['as a large number', { type: 'number', minimum: 0, maximum: 1e12 }, '400638133393'],
    ['as a large number of any size', { type: 'object', additionalProperties: true }, '{"a": 4006381333931}'],
  ])('%s', (_what, schema, text) => {
    expect(() => answer(schema, text)).not.toThrow();
  });
});
