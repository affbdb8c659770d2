// @module-tag nightly
import { readdirSync, readFileSync } from 'node:fs';
import { Ajv } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { expect, test } from 'vitest';
import { Grammar } from '../../../worker/grammar/grammar-chunk.ts';
import { GrammarError } from '../../../worker/grammar/byte-machine.ts';
import { compileJsonSchema } from '../../../worker/grammar/json-schema.ts';
import { written } from '../../../worker/grammar/json-text.ts';
import { runSeed, xorshift } from '../../random.ts';
import { glimpseTokenizer } from '../families/glimpse-tokenizer.ts';
import { answer, tokensOf } from './proof.ts';
import { accepts } from './walk.ts';

/**
 * The public JSON Schema Test Suite (Julian Berman, MIT): its `tests` folder. Debian's libtest-json-schema-acceptance-perl
 * has it.
 */
const folder = process.env['JSON_SCHEMA_SUITE_DIR'];

interface Group {
  description: string;
  schema: unknown;
  tests: { description: string; data: unknown; valid: boolean }[];
}

const DRAFTS = { draft7: Ajv, 'draft2020-12': Ajv2020 };
/** Answers by random logits to each schema. */
const ANSWERS = 3;

function groupsOf(draft: string): [string, Group][] {
  return (
    readdirSync(`${folder}/${draft}`, { recursive: true, encoding: 'utf8' })
      // What stands in `contentMediaType` is a note here, as the newer draft has it.
      .filter((file) => file.endsWith('.json') && file !== 'optional/content.json')
      .toSorted()
      .flatMap((file) => {
        const groups: Group[] = JSON.parse(readFileSync(`${folder}/${draft}/${file}`, 'utf8'));
        return groups.map((group): [string, Group] => [`${draft}/${file}: ${group.description}`, group]);
      })
  );
}

function machineOf(schema: unknown) {
  try {
    return compileJsonSchema(schema);
  } catch (error) {
    if (error instanceof GrammarError) return undefined;
    throw error;
  }
}

/** The validator has no dialects but its own. */
function withoutDialect(schema: unknown): object | boolean {
  return JSON.parse(JSON.stringify(schema, (keyword, value: unknown) => (keyword === '$schema' ? undefined : value)));
}

const TYPES = ['object', 'array', 'string', 'number', 'boolean', 'null'];
const ONE = ['additionalProperties', 'additionalItems', 'propertyNames'];
const LISTS = ['prefixItems', 'items', 'allOf', 'anyOf', 'oneOf'];
const NAMED = ['properties', '$defs', 'definitions'];

/**
 * A schema that asks for all that it allows: other properties, items and types are only written where a schema asks for
 * them.
 */
function opened(schema: unknown): unknown {
  if (typeof schema !== 'object' || schema === null) return schema;
  const inner = Object.entries(schema).map(([keyword, value]: [string, unknown]) => {
    if (ONE.includes(keyword)) return [keyword, opened(value)] as const;
    if (LISTS.includes(keyword)) return [keyword, Array.isArray(value) ? value.map(opened) : opened(value)] as const;
    if (!NAMED.includes(keyword)) return [keyword, value] as const;
    return [keyword, fromEntries(Object.entries(value as object).map(([name, each]) => [name, opened(each)]))] as const;
  });
  const made: Record<string, unknown> = Object.fromEntries(inner);
  const isTyped = ['type', 'enum', 'const', '$ref', 'allOf', 'anyOf', 'oneOf'].some((keyword) => keyword in made);
  if (!isTyped && Object.keys(made).length > 0) made['type'] = TYPES;
  if ('properties' in made) made['additionalProperties'] ??= true;
  if ('prefixItems' in made) made['items'] ??= true;
  if (Array.isArray(made['items'])) made['additionalItems'] ??= true;
  return made;
}

/** With `__proto__` as a property of its own. */
function fromEntries(entries: [string, unknown][]): object {
  return JSON.parse(`{${entries.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join()}}`);
}

/** The value with its properties in each order; of few properties, as in the suite. */
function orders(data: unknown): unknown[] {
  if (typeof data !== 'object' || data === null || Array.isArray(data)) return [data];
  const entries: [string, unknown][] = Object.entries(data);
  if (entries.length < 2) return [data];
  return entries.flatMap(([name, value]) =>
    orders(fromEntries(entries.filter(([other]) => other !== name))).map((rest) =>
      fromEntries([[name, value], ...Object.entries(rest as object)]),
    ),
  );
}

/** Formats are matched by narrower expressions; dialects are those of 2020-12, also where `$ref` has keywords beside it. */
const NARROWER = /format|vocabulary|ref overrides any sibling/;

/** What no text of ours has: numbers of more than nine digits, and control characters without a short escape. */
const isWritable = (data: unknown): boolean => !/\d{10}|e\+|\\u00/.test(JSON.stringify(data));

test.skipIf(!folder).each(Object.entries(DRAFTS))(
  'each schema of the public suite is refused by name, or held to: %s (skipped without JSON_SCHEMA_SUITE_DIR)',
  { timeout: 600_000 },
  (draft, Validator) => {
    const tokens = tokensOf(glimpseTokenizer(), 1280);
    const grammar = new Grammar(tokens, tokens.size);
    const seed = runSeed();
    const found = { schemas: 0, refused: 0, finished: 0, cut: 0, accepted: 0, narrower: 0, invalid: 0 };
    const wrong: string[] = [];
    for (const [name, { schema, tests }] of groupsOf(draft)) {
      found.schemas++;
      const machine = machineOf(schema);
      if (!machine) found.refused++;
      const random = xorshift(Math.imul(seed + found.schemas, 0x9e3779b1));
      const wanted = { type: 'json', schema, param: 'schema' } as const;
      for (let count = 0; count < ANSWERS; count++) {
        const text = answer(grammar, tokens, wanted, random, `${name}, seed ${seed}`);
        if (text === 'refused') break;
        if (text === 'cut') found.cut++;
        else {
          found.finished++;
          const options = { strict: false, validateFormats: false, ownProperties: true };
          const validate = new Validator(options).compile(withoutDialect(schema));
          if (!validate(JSON.parse(text.whole))) wrong.push(`${name}, seed ${seed}: ${text.whole}`);
        }
      }
      const wide = machineOf(opened(schema));
      for (const { description, data, valid } of tests) {
        const texts = orders(data).map(written);
        const isNarrow = machine !== undefined && texts.some((text) => accepts(machine, text));
        const isWide = wide !== undefined && texts.some((text) => accepts(wide, text));
        if (!valid) {
          found.invalid++;
          if (isNarrow || isWide) wrong.push(`${name}: accepts ${description}: ${written(data)}`);
          continue;
        }
        if (isNarrow) found.accepted++;
        else if (machine) found.narrower++;
        const isPromised = wide && isWritable(data) && !NARROWER.test(name);
        if (isPromised && !isWide) wrong.push(`${name}: refuses ${description}: ${written(data)}`);
      }
    }
    console.log(draft, found);
    expect(wrong).toEqual([]);
  },
);
