import { describe, expect, it } from 'vitest';
import { parseChat } from '../../../src/openai/parse-request.ts';
import type { NearsightError } from '../../../src/protocol/errors.ts';
import type { TextConstraint } from '../../../src/protocol/job.ts';
import { MIN } from './samples.ts';

const REGEX = { guided_regex: 'a' };

/** Every field that constrains the text, by its path. */
const WAYS: Record<string, object> = {
  response_format: { response_format: { type: 'json_object' } },
  'response_format.json_schema.schema': { response_format: { type: 'json_schema', json_schema: { schema: true } } },
  'structured_outputs.json': { structured_outputs: { json: {} } },
  'structured_outputs.regex': { structured_outputs: { regex: 'a' } },
  'structured_outputs.choice': { structured_outputs: { choice: ['a'] } },
  'structured_outputs.grammar': { structured_outputs: { grammar: 'root ::= "a"' } },
  'structured_outputs.json_object': { structured_outputs: { json_object: true } },
  guided_json: { guided_json: {} },
  guided_regex: REGEX,
  guided_choice: { guided_choice: ['a'] },
  guided_grammar: { guided_grammar: 'root ::= "a"' },
  'nvext.guided_json': { nvext: { guided_json: {} } },
  'nvext.guided_regex': { nvext: { guided_regex: 'a' } },
  'nvext.guided_choice': { nvext: { guided_choice: ['a'] } },
  'nvext.guided_grammar': { nvext: { guided_grammar: 'root ::= "a"' } },
};

describe.each(Object.entries(WAYS))('%s', (param, fields) => {
  it('names itself', () => {
    expect(constraintOf(fields)).toMatchObject({ param });
  });

  it.each(Object.entries(WAYS).filter(([other]) => other.split('.', 1)[0] !== param.split('.', 1)[0]))(
    'is refused beside %s, and both are named',
    (other, more) => {
      const error = errorOf({ ...fields, ...more });
      expect(error).toMatchObject({ code: 'invalid_request', status: 400 });
      expect(error.message).toContain(`${param} `);
      expect(error.message).toContain(`${other} `);
      expect([param, other]).toContain(error.param);
    },
  );

  it('is refused beside stop, and both are named', () => {
    const error = errorOf({ ...fields, stop: ['a'] });
    expect(error).toMatchObject({ code: 'unsupported_field', param: 'stop' });
    expect(error.message).toContain(param);
    expect(constraintOf({ ...fields, stop: [] })).toMatchObject({ param });
  });

  it('may stand beside the format that asks for nothing', () => {
    if (param.startsWith('response_format')) return;
    expect(constraintOf({ ...fields, response_format: { type: 'text' } })).toMatchObject({ param });
  });
});

it('two constraints in one object are refused', () => {
  for (const two of [
    { structured_outputs: { regex: 'a', json: {} } },
    { structured_outputs: { choice: ['a'], json_object: true } },
    { nvext: { guided_regex: 'a', guided_choice: ['a'] } },
    { guided_json: {}, guided_grammar: 'root ::= "a"' },
  ]) {
    expect(errorOf(two)).toMatchObject({ code: 'invalid_request' });
  }
});

it('an object without a constraint asks for nothing', () => {
  for (const none of [
    { structured_outputs: {} },
    { structured_outputs: { json_object: false, json: null } },
    { nvext: {} },
  ]) {
    expect(constraintOf(none)).toBeUndefined();
  }
});

it('a schema may be a string of JSON, whose properties keep their order', () => {
  const schema = { type: 'object', properties: { b: {}, a: {} } };
  const read = constraintOf({ guided_json: JSON.stringify(schema) });
  expect(read).toEqual({ type: 'json', schema, param: 'guided_json' });
  expect(JSON.stringify(read)).toContain('"b":{},"a"');
  expect(constraintOf({ guided_json: ' true\n' })).toMatchObject({ schema: true });
  expect(constraintOf({ guided_json: false })).toMatchObject({ schema: false });
});

describe('response_format', () => {
  it.each([
    ['response_format.json_schema', { type: 'json_schema' }],
    ['response_format.json_schema.schema', { type: 'json_schema', json_schema: { name: 'x' } }],
    ['response_format.json_schema.schema', { type: 'json_schema', json_schema: { name: 'x', schema: null } }],
    ['response_format.type', { json_schema: { schema: true } }],
    ['response_format.type', { type: 'json_object', json_schema: { schema: true } }],
    ['response_format.type', { type: 'text', json_schema: { schema: true } }],
  ])('%s is wrong in %j', (param, response_format) => {
    expect(errorOf({ response_format })).toMatchObject({ code: 'invalid_request', param });
  });

  it.each([
    ['response_format.type', { type: 'structural_tag', structures: [], triggers: [] }],
    ['response_format.triggers', { triggers: ['<'] }],
    ['response_format.format', { format: {} }],
  ])('%s is refused in %j', (param, response_format) => {
    expect(errorOf({ response_format })).toMatchObject({ code: 'unsupported_field', param });
  });

  it('has the same schema with and without strict', () => {
    const usual = constraintOf({ response_format: { type: 'json_schema', json_schema: { name: 'x', schema: {} } } });
    for (const strict of [true, false, null]) {
      const json_schema = { name: 'x', schema: {}, strict };
      expect(constraintOf({ response_format: { type: 'json_schema', json_schema } })).toEqual(usual);
    }
  });
});

it.each([
  ['guided_whitespace_pattern', { ...REGEX, guided_whitespace_pattern: ' ?' }],
  ['structured_outputs.whitespace_pattern', { structured_outputs: { json: {}, whitespace_pattern: ' ?' } }],
  ['structured_outputs.structural_tag', { structured_outputs: { structural_tag: '{}' } }],
  [
    'structured_outputs.disable_additional_properties',
    { structured_outputs: { json: {}, disable_additional_properties: true } },
  ],
])('%s is refused', (param, fields) => {
  expect(errorOf(fields)).toMatchObject({ code: 'unsupported_field', param });
});

it.each([
  ['guided_regex', { guided_regex: 'a\ud800' }],
  ['guided_choice[1]', { guided_choice: ['a', '\udfffa'] }],
  ['nvext.guided_grammar', { nvext: { guided_grammar: '\ud800' } }],
])('%s with half a character is refused, because no text could be that', (param, fields) => {
  expect(errorOf(fields)).toMatchObject({ code: 'invalid_request', param });
  expect(constraintOf({ guided_choice: ['🦓', 'é'] })).toMatchObject({ texts: ['🦓', 'é'] });
});

describe('limits', () => {
  it.each([
    ['guided_regex', { guided_regex: 'a'.repeat(4096) }, { guided_regex: 'a'.repeat(4097) }, '4096'],
    ['guided_grammar', { guided_grammar: 'a'.repeat(32_768) }, { guided_grammar: 'a'.repeat(32_769) }, '32768'],
    [
      'guided_choice',
      { guided_choice: ['a', 'b'.repeat(32_767)] },
      { guided_choice: ['a', 'b'.repeat(32_768)] },
      '32768',
    ],
    ['guided_json', { guided_json: schemaOf(65_536) }, { guided_json: schemaOf(65_537) }, '65536'],
    [
      'nvext.guided_json',
      { nvext: { guided_json: JSON.stringify(schemaOf(65_536)) } },
      { nvext: { guided_json: JSON.stringify(schemaOf(65_537)) } },
      '65536',
    ],
    [
      'structured_outputs.json',
      { structured_outputs: { json: nested(64) } },
      { structured_outputs: { json: nested(65) } },
      '64 levels',
    ],
  ])('%s has one, which is named', (param, within, beyond, limit) => {
    expect(constraintOf(within)).toMatchObject({ param });
    const error = errorOf(beyond);
    expect(error).toMatchObject({ code: 'unsupported_schema', param, status: 400 });
    expect(error.message).toContain(limit);
    expect(error.message.length).toBeLessThan(200);
  });

  it('is found in a schema that would overflow the stack, or is wide', () => {
    const deep = JSON.parse(`${'{"a":['.repeat(50_000)}${']}'.repeat(50_000)}`) as object;
    expect(errorOf({ guided_json: deep })).toMatchObject({ code: 'unsupported_schema', param: 'guided_json' });
    const text = `${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`;
    expect(errorOf({ guided_json: text })).toMatchObject({ code: 'unsupported_schema', param: 'guided_json' });
    const wide = { enum: Array.from({ length: 1_000_000 }, () => ({})) };
    expect(errorOf({ guided_json: wide })).toMatchObject({ code: 'unsupported_schema', param: 'guided_json' });
  });
});

function constraintOf(fields: object): TextConstraint | undefined {
  return parseChat({ ...MIN, ...fields }).job.constraint;
}

function errorOf(fields: object): NearsightError {
  try {
    parseChat({ ...MIN, ...fields });
  } catch (error) {
    return error as NearsightError;
  }
  throw new Error('It was accepted.');
}

/** A schema with so many characters as JSON. */
function schemaOf(characters: number): object {
  return { title: 'x'.repeat(characters - '{"title":""}'.length) };
}

/** A schema with so many levels below the first. */
function nested(levels: number): object {
  let schema: object = {};
  for (let i = 0; i < levels; i++) schema = i % 2 ? { items: schema } : { anyOf: schema };
  return schema;
}
