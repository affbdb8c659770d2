import { describe, expect, it } from 'vitest';
import { renameConstraints } from '../../../src/remote/constraint-dialects.ts';
import { ask, fetchWithRemote } from '../with-remote.ts';

const schema = { type: 'object', properties: { b: {}, a: {} } };
const jsonSchema = { type: 'json_schema', json_schema: { name: 'x', schema, strict: true } };
const jsonObject = { type: 'json_object' };

type Json = Record<string, unknown>;

/** The fields that the remote got, without the model, the messages and an empty `nvext`. */
async function sent(dialect: 'nim1' | 'nim2' | 'hosted', fields: Json): Promise<Json> {
  const { fetch, nim } = await fetchWithRemote({ remote: { dialect } }, { dialect });
  const response = await fetch(...ask(fields));
  expect([response.status, response.headers.get('x-nearsight-origin')]).toEqual([200, 'remote']);
  const { model, messages, nvext, ...rest } = nim.seen[0]?.body ?? {};
  expect([model, messages]).toEqual(['meta/llama', expect.any(Array)]);
  return { ...rest, ...(Object.keys(Object(nvext)).length > 0 && { nvext }) };
}

describe('a constraint gets the name that the remote has for it', () => {
  it.each<[string, Json, nim1: Json, nim2: Json]>([
    ['json_object', { response_format: jsonObject }, { response_format: jsonObject }, { response_format: jsonObject }],
    [
      'json_schema',
      { response_format: jsonSchema },
      { nvext: { guided_json: schema } },
      { response_format: jsonSchema },
    ],
    ...['', 'nvext.'].map((place): [string, Json, Json, Json] => {
      const guided = { guided_json: schema };
      const nim2 = { structured_outputs: { json: schema } };
      return [`${place}guided_json`, place ? { nvext: guided } : guided, { nvext: guided }, nim2];
    }),
    [
      'structured_outputs.json',
      { structured_outputs: { json: schema, disable_fallback: true, grammar: null } },
      { nvext: { guided_json: schema } },
      { structured_outputs: { json: schema, disable_fallback: true } },
    ],
    [
      'structured_outputs.json_object',
      { structured_outputs: { json_object: true } },
      { response_format: jsonObject },
      { structured_outputs: { json_object: true } },
    ],
    [
      'json_object beside the text format',
      { structured_outputs: { json_object: true }, response_format: { type: 'text' } },
      { response_format: jsonObject },
      { structured_outputs: { json_object: true }, response_format: { type: 'text' } },
    ],
    ['guided_regex', { guided_regex: 'a' }, { nvext: { guided_regex: 'a' } }, { structured_outputs: { regex: 'a' } }],
    [
      'nvext.guided_choice',
      { nvext: { guided_choice: ['a'], top_k: 3 } },
      { nvext: { guided_choice: ['a'], top_k: 3 } },
      { structured_outputs: { choice: ['a'] }, top_k: 3 },
    ],
    [
      'structured_outputs.grammar',
      { structured_outputs: { grammar: 'root ::= "a"' } },
      { nvext: { guided_grammar: 'root ::= "a"' } },
      { structured_outputs: { grammar: 'root ::= "a"' } },
    ],
    [
      'guided_whitespace_pattern',
      { guided_json: schema, guided_whitespace_pattern: ' ?' },
      { nvext: { guided_json: schema }, guided_whitespace_pattern: ' ?' },
      { structured_outputs: { json: schema, whitespace_pattern: ' ?' } },
    ],
    [
      'structured_outputs.whitespace_pattern',
      { structured_outputs: { json: schema, whitespace_pattern: ' ?' } },
      { nvext: { guided_json: schema }, guided_whitespace_pattern: ' ?' },
      { structured_outputs: { json: schema, whitespace_pattern: ' ?' } },
    ],
    [
      'a schema that is false',
      { guided_json: false },
      { nvext: { guided_json: false } },
      { structured_outputs: { json: false } },
    ],
    ['nothing', { structured_outputs: { json_object: false }, nvext: {} }, {}, {}],
  ])('%s', async (_name, fields, nim1, nim2) => {
    expect(await sent('nim1', fields)).toEqual(nim1);
    expect(await sent('nim2', fields)).toEqual(nim2);
  });

  it('a structural tag goes to vLLM as it is', async () => {
    const fields = { response_format: { type: 'structural_tag', structures: [], triggers: [] } };
    expect(await sent('nim2', fields)).toEqual(fields);
    const outputs = { structured_outputs: { structural_tag: '{}', disable_additional_properties: true } };
    expect(await sent('nim2', outputs)).toEqual(outputs);
  });

  it('the text format asks for nothing of the catalogue', async () => {
    expect(await sent('hosted', { response_format: { type: 'text' }, structured_outputs: {} })).toEqual({});
  });
});

it.each<['nim1' | 'nim2' | 'hosted', param: string, Json]>([
  ['hosted', 'response_format.json_schema.schema', { response_format: jsonSchema }],
  ['hosted', 'guided_json', { guided_json: schema }],
  ['hosted', 'nvext.guided_regex', { nvext: { guided_regex: 'a' } }],
  ['hosted', 'structured_outputs.choice', { structured_outputs: { choice: ['a'] } }],
  ['hosted', 'structured_outputs.json_object', { structured_outputs: { json_object: true } }],
  ['hosted', 'guided_whitespace_pattern', { guided_whitespace_pattern: ' ?' }],
  ['hosted', 'structured_outputs', { structured_outputs: { structural_tag: '{}' } }],
  ['nim1', 'response_format.type', { response_format: { type: 'structural_tag' } }],
  ['nim1', 'structured_outputs.structural_tag', { structured_outputs: { structural_tag: '{}' } }],
  [
    'nim1',
    'structured_outputs.disable_additional_properties',
    { structured_outputs: { json: schema, disable_additional_properties: true } },
  ],
])('%s: %s is refused, because the remote would ignore or reject it', async (dialect, param, fields) => {
  const { fetch, nim } = await fetchWithRemote({ remote: { dialect } }, { dialect });
  const response = await fetch(...ask(fields));
  expect(await response.json()).toMatchObject({ error: { code: 'unsupported_field', param } });
  expect(nim.seen).toEqual([]);
});

it.each(['nim1', 'nim2', 'hosted'] as const)('%s: of two constraints, none is dropped in silence', (dialect) => {
  // The parser refuses such a request, but one that is at fault in another field as well gets here.
  for (const [body, ...names] of [
    [{ guided_regex: 'a', structured_outputs: { regex: 'b' } }, 'guided_regex', 'structured_outputs.regex'],
    [{ nvext: { guided_json: {} }, guided_json: {} }, 'nvext.guided_json', 'guided_json'],
    [
      { response_format: jsonObject, structured_outputs: { json_object: true } },
      'response_format',
      'structured_outputs',
    ],
    [{ response_format: jsonSchema, guided_regex: 'a' }, 'response_format.json_schema.schema', 'guided_regex'],
  ] as const) {
    const before = structuredClone(body);
    for (const name of names) expect(() => renameConstraints(body, dialect)).toThrow(name);
    expect(body).toEqual(before);
  }
});
