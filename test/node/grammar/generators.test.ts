// What zod and pydantic make of types that pages ask for: each compiles, and each text is valid for their own schema.
import { Validator } from '@cfworker/json-schema';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { zodResponseFormat } from 'openai/helpers/zod';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { compileJsonSchema } from '../../../worker/grammar/json-schema.ts';
import { xorshift } from '../../random.ts';
import pydantic from './pydantic.json' with { type: 'json' };
import { accepts, randomText } from './walk.ts';

const Receipt = z.object({
  merchant: z.string().describe('As it is printed'),
  date: z.iso.date().nullable(),
  currency: z.enum(['EUR', 'USD', 'GBP']),
  items: z
    .array(z.object({ name: z.string().max(60), count: z.int().positive().max(99).default(1), price: z.number() }))
    .max(20),
  total: z.number().nonnegative(),
  tip: z.number().optional(),
});
const Node = z.object({
  name: z.string(),
  get children() {
    return z.array(Node);
  },
});

/** Types of zod. With `z.toJSONSchema` they must compile, and zod itself must accept each text. */
const zodTypes: Readonly<Record<string, z.ZodType>> = {
  'a receipt': Receipt,
  tags: z.object({ tags: z.array(z.string().min(1).max(20)).min(1).max(5) }),
  'bounding boxes': z.array(
    z.object({
      label: z.string(),
      box: z.tuple([z.int(), z.int(), z.int(), z.int()]),
      score: z.number().min(0).max(1),
    }),
  ),
  'an enum': z.enum(['cat', 'dog', 'neither']),
  'optional and nullable': z.object({ a: z.string().optional(), b: z.string().nullable(), c: z.number().nullish() }),
  'arrays with bounds': z.array(z.boolean()).min(2).max(4),
  'a tuple with a rest': z.tuple([z.string()], z.number()),
  'a record': z.record(z.string(), z.number()),
  'a record of listed names': z.record(z.enum(['red', 'green']), z.int().min(0).max(255)),
  'a partial record': z.partialRecord(z.enum(['red', 'green']), z.boolean()),
  'a union': z.union([z.string(), z.number(), z.null(), z.object({ a: z.literal(true) })]),
  'a discriminated union': z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('circle'), radius: z.number().positive() }),
    z.object({ kind: z.literal('square'), side: z.number().positive() }),
  ]),
  'a recursive type': Node,
  literals: z.object({ version: z.literal(3), kind: z.literal(['a', 'b']), yes: z.literal(true), none: z.null() }),
  'an intersection': z.intersection(z.object({ a: z.string() }), z.object({ b: z.number() })),
  numbers: z.object({ i: z.int32(), f: z.float32(), u: z.uint32(), m: z.int().multipleOf(5).min(0).max(100) }),
  'dates and times': z.object({ day: z.iso.date(), at: z.iso.datetime(), offset: z.iso.datetime({ offset: true }) }),
  'a time': z.iso.time(),
  'a duration': z.iso.duration(),
  'an email address': z.email(),
  'an email address as browsers have it': z.email({ pattern: z.regexes.html5Email }),
  'a URL': z.url(),
  'a UUID': z.uuid(),
  'addresses of hosts': z.object({ four: z.ipv4(), six: z.ipv6(), range: z.cidrv4() }),
  identifiers: z.object({ a: z.cuid2(), b: z.nanoid(), c: z.ulid(), d: z.e164(), e: z.base64() }),
  'strings with rules': z.string().startsWith('a').endsWith('z').includes('-').min(4).max(12),
  'a string in capitals': z
    .string()
    .regex(/^[A-Z]{2}\d+$/)
    .max(8),
  'letters of one case': z.object({ up: z.string().uppercase(), low: z.string().lowercase() }),
  'a template': z.templateLiteral([z.enum(['w', 'h']), '=', z.int(), 'px']),
};

/** Validators of formats are in another test: json-schema.test.ts. Here zod and cfworker check them. */
const ajv = (schema: object): ((value: unknown) => boolean) => {
  const validate = new Ajv2020({ strict: false, validateFormats: false }).compile(schema);
  return (value) => validate(value);
};

function texts(schema: unknown, count = 12): string[] {
  const machine = compileJsonSchema(schema);
  const random = xorshift(11);
  return Array.from({ length: count }, () => randomText(machine, random, 50) ?? expect.fail('it cannot be completed'));
}

describe('zod', () => {
  test.each(Object.entries(zodTypes))('%s', (_name, type) => {
    const schema = z.toJSONSchema(type) as object;
    const [isValid, other] = [ajv(schema), new Validator(structuredClone(schema), '2020-12')];
    for (const text of texts(schema)) {
      const value: unknown = JSON.parse(text);
      expect(isValid(value) && other.validate(value).valid, text).toBe(true);
      const { success, error } = type.safeParse(value);
      expect(success, `${text}: ${error?.message}`).toBe(true);
    }
  });

  test.each(['a receipt', 'a recursive type', 'optional and nullable', 'a discriminated union'])(
    "%s as openai's helper sends it",
    (name) => {
      const type = z.object({ value: zodTypes[name]! });
      const nullable = name === 'optional and nullable' || name === 'a receipt';
      // Strict mode has no optional properties: openai's helper says so.
      if (nullable) return expect(() => zodResponseFormat(type, 'it')).toThrow(/optional/);
      const { schema = {} } = zodResponseFormat(type, 'it').json_schema;
      for (const text of texts(schema)) expect(type.safeParse(JSON.parse(text)).success, text).toBe(true);
    },
  );

  const refused: [name: string, type: z.ZodType, message: string][] = [
    [
      'steps of numbers',
      z.number().multipleOf(0.01),
      "'multipleOf' at # cannot be enforced: only integers of at least 1",
    ],
    ['a token', z.object({ token: z.jwt() }), "'format' at #/properties/token cannot be enforced: the formats are"],
    ['a host name', z.hostname(), "'pattern' at # cannot be enforced: Too large: with all that must hold at once"],
    ['emoji', z.emoji(), "'pattern' at # cannot be enforced: \\p (a Unicode property) is not supported"],
    [
      'nothing',
      z.object({ a: z.never() }),
      "'not' at #/properties/a cannot be enforced: the keyword is not known here",
    ],
  ];
  test.each(refused)('%s: refused', (_name, type, message) => {
    expect(() => compileJsonSchema(z.toJSONSchema(type))).toThrow(message);
  });
});

describe('pydantic', () => {
  test.each(Object.entries(pydantic.schemas))('%s', (_name, schema) => {
    const [isValid, other] = [ajv(schema), new Validator(structuredClone(schema) as object, '2020-12')];
    for (const text of texts(schema)) {
      const value: unknown = JSON.parse(text);
      expect(isValid(value) && other.validate(value).valid, text).toBe(true);
    }
  });

  test('an amount of money is a number, or a string of one', () => {
    const machine = compileJsonSchema(pydantic.schemas.Receipt.$defs.Item.properties.price);
    for (const amount of ['12.5', '"12.50"', '"-0.1"', '".5"', '"007."']) expect(accepts(machine, amount)).toBe(true);
    for (const amount of ['"."', '"+"', '""', '"1.2.3"', '"x"']) expect(accepts(machine, amount)).toBe(false);
  });

  const refused = Object.entries(pydantic.refused) as [name: string, { schema: object; message: string }][];
  test.each(refused)('%s: refused', (_name, { schema, message }) => {
    expect(() => compileJsonSchema(schema)).toThrow(message);
  });
});
