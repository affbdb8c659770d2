/** How requests say which tools may be called, and the calls and results of a chat. */
import { describe, expect, it } from 'vitest';
import { parseChat, type ChatRequest } from '../../../src/openai/parse-request.ts';
import type { NearsightError } from '../../../src/protocol/errors.ts';
import { MIN } from './samples.ts';

const tool = (name: string, more: object = {}): object => ({ type: 'function', function: { name, ...more } });
const PARAMETERS = { type: 'object', properties: { a: { type: 'string' } } };
const TOOLS = { tools: [tool('f', { description: 'Does f.', parameters: PARAMETERS, strict: true }), tool('g')] };
const named = (name: string): object => ({ tool_choice: { type: 'function', function: { name } } });

function ask(fields: object): ChatRequest {
  return parseChat({ ...MIN, ...fields });
}

function refusal(fields: object): NearsightError {
  try {
    ask(fields);
  } catch (error) {
    return error as NearsightError;
  }
  throw new Error('It was accepted.');
}

/** The turns as one text each. */
function turns(messages: unknown, fields: object = {}): string[] {
  return ask({ messages, ...fields }).turns.map(
    ({ role, parts }) => `${role}: ${parts.map((part) => (part.type === 'image' ? '[image]' : part.text)).join('')}`,
  );
}

describe('the tools that may be called', () => {
  it('have their schemas and fields in the constraint', () => {
    expect(ask(TOOLS)).toMatchObject({
      toolChoice: 'auto',
      job: {
        constraint: {
          type: 'tools',
          required: false,
          parallel: true,
          param: 'tools',
          tools: [
            { name: 'f', schema: PARAMETERS, param: 'tools[0].function.parameters' },
            { name: 'g', schema: { type: 'object', properties: {}, additionalProperties: false } },
          ],
        },
      },
    });
  });

  it.each([
    [{}, { type: 'object', properties: {}, additionalProperties: false }],
    [{ type: 'object' }, { type: 'object', properties: {}, additionalProperties: false }],
    [
      { $schema: 'x', properties: {} },
      { $schema: 'x', type: 'object', properties: {}, additionalProperties: false },
    ],
    [{ additionalProperties: true }, { type: 'object', properties: {}, additionalProperties: true }],
    [{ anyOf: [{}] }, { type: 'object', properties: {}, anyOf: [{}] }],
    [{ $ref: '#/$defs/a' }, { type: 'object', properties: {}, $ref: '#/$defs/a' }],
  ])('take an object, and nothing that has no name: %j', (parameters, schema) => {
    const constraint = ask({ tools: [tool('f', { parameters })] }).job.constraint;
    expect(constraint).toEqual(expect.objectContaining({ tools: [expect.objectContaining({ schema })] }));
  });

  it.each([
    [{ tool_choice: 'auto' }, 'auto', { required: false, parallel: true }],
    [{ tool_choice: 'required' }, 'required', { required: true, parallel: true }],
    [{ parallel_tool_calls: false }, 'auto', { required: false, parallel: false }],
    [{ tool_choice: 'required', parallel_tool_calls: false }, 'required', { required: true, parallel: false }],
    [named('g'), 'named', { required: true, parallel: false, tools: [{ name: 'g' }] }],
  ])('are called as tool_choice says: %j', (fields, toolChoice, constraint) => {
    expect(ask({ ...TOOLS, ...fields })).toMatchObject({ toolChoice, job: { constraint } });
  });

  it('are none if tool_choice says so, and the request is as without', () => {
    for (const fields of [{ ...TOOLS, tool_choice: 'none' }, { tools: [] }, { tool_choice: 'auto' }]) {
      expect(ask(fields)).toEqual(ask({}));
    }
    expect(ask({ ...TOOLS, tool_choice: 'none', guided_regex: 'a' }).job.constraint).toMatchObject({ type: 'regex' });
  });

  it.each([
    ['tools[1].function.name', { tools: [tool('f'), tool('f')] }, "no other tool has, but it is 'f'"],
    ['tool_choice.function.name', { ...TOOLS, ...named('h') }, "one of tools, but it is 'h'"],
    ['tool_choice.function.name', named('f'), 'one of tools'],
    ['tool_choice', { tool_choice: 'required' }, 'no tools'],
    ['tools[0].function', { tools: [{ type: 'function' }] }, 'missing'],
    ['tools[0].function.name', { tools: [{ function: {} }] }, 'missing'],
    ['tools[0].function.parameters.type', { tools: [tool('f', { parameters: { type: 'array' } })] }, "it is 'array'"],
  ])('are refused: %s', (param, fields, words) => {
    const error = refusal(fields);
    expect(error).toMatchObject({ code: 'invalid_request', param });
    expect(error.message).toContain(words);
  });

  it.each([
    ['tools', { ...TOOLS, guided_regex: 'a' }, 'guided_regex'],
    ['stop', { ...TOOLS, stop: 'a' }, 'tools'],
    ['tools[0].type', { tools: [{ type: 'custom', custom: {} }] }, ''],
    ['tool_choice', { ...TOOLS, tool_choice: { type: 'allowed_tools', allowed_tools: {} } }, ''],
    ['functions', { functions: [{ name: 'f' }] }, 'tools'],
    ['function_call', { function_call: 'auto' }, 'tools'],
  ])('are not supported: %s', (param, fields, words) => {
    // A type that is refused comes before a field that is unknown.
    const error = refusal(fields);
    expect(error).toMatchObject({ code: 'unsupported_field', param });
    expect(error.message).toContain(words);
  });

  it('may stand beside a format that is JSON', () => {
    const otherwise = { schema: { type: 'object' }, param: 'response_format' };
    expect(ask({ ...TOOLS, response_format: { type: 'json_object' } }).job.constraint).toMatchObject({ otherwise });
    const schema = { guided_json: { const: 1 } };
    expect(ask({ ...TOOLS, ...schema }).job.constraint).toMatchObject({
      type: 'tools',
      otherwise: { schema: { const: 1 } },
    });
    expect(ask({ ...TOOLS, ...schema, tool_choice: 'none' }).job.constraint).toMatchObject({ type: 'json' });
  });

  it('are too large beyond the limits of schemas', () => {
    const parameters = { properties: { a: { enum: ['x'.repeat(70_000)] } } };
    const error = refusal({ tools: [tool('f', { parameters })] });
    expect(error).toMatchObject({ code: 'unsupported_schema', param: 'tools[0].function.parameters' });
  });
});

describe('what the model is told', () => {
  const hi = { role: 'user', content: 'hi' };

  it('is a system message, or the end of one', () => {
    const [instruction = '', ...others] = turns([hi], TOOLS);
    expect(others).toEqual(['user: hi']);
    expect(instruction).toMatch(/^system: # Tools\n/);
    expect(instruction).toContain(
      `\n{"type":"function","function":{"name":"f","description":"Does f.","parameters":${JSON.stringify(PARAMETERS)}}}\n` +
        '{"type":"function","function":{"name":"g"}}\n</tools>',
    );
    const told = instruction.slice('system: '.length);
    expect(turns([{ role: 'system', content: 'Be brief.' }, hi], TOOLS)).toEqual([
      `system: Be brief.\n\n${told}`,
      'user: hi',
    ]);
    expect(turns([{ role: 'system', content: '' }, hi], TOOLS)).toEqual([instruction, 'user: hi']);
  });

  it('comes with the tools themselves, for templates that know tools', () => {
    const [system] = ask({ messages: [{ role: 'system', content: 'Be brief.' }, hi], ...TOOLS }).turns;
    expect(system?.parts).toEqual([
      { type: 'text', text: 'Be brief.' },
      {
        type: 'tools',
        text: expect.stringMatching(/^\n\n# Tools\n/),
        tools: [
          `{"type":"function","function":{"name":"f","description":"Does f.","parameters":${JSON.stringify(PARAMETERS)}}}`,
          '{"type":"function","function":{"name":"g"}}',
        ],
      },
    ]);
  });

  it('is nothing but the tool that is named', () => {
    const [instruction] = turns([hi], { ...TOOLS, ...named('g') });
    expect(instruction).toContain('"g"');
    expect(instruction).not.toContain('"f"');
  });
});

describe('the calls and results of a chat', () => {
  const call = (id: string, more: object = {}): object => ({
    id,
    type: 'function',
    function: { name: 'f', arguments: '{"a": "b"}', ...more },
  });
  const calls = (...ids: string[]): object => ({
    role: 'assistant',
    content: null,
    tool_calls: ids.map((id) => call(id)),
  });
  const result = (id: string, content: unknown = id): object => ({ role: 'tool', tool_call_id: id, content });
  const written = '<tool_call>\n{"name": "f", "arguments": {"a": "b"}}\n</tool_call>';
  const response = (text: string): string => `<tool_response>\n${text}\n</tool_response>`;

  it('are text', () => {
    const messages = [
      { role: 'user', content: 'hi' },
      { ...calls('1', '2'), content: 'I look.' },
      result('2', [{ type: 'text', text: 'two' }, ' <img src="x">']),
      result('1', ''),
      calls('1'),
      result('1'),
      { role: 'user', content: 'thanks' },
    ];
    expect(turns(messages)).toEqual([
      'user: hi',
      `assistant: I look.\n${written}\n${written}`,
      `user: ${response('two <img src="x">')}\n${response('')}`,
      `assistant: ${written}`,
      `user: ${response('1')}`,
      'user: thanks',
    ]);
  });

  it('make one part of the results that follow each other, because some templates trim each part', () => {
    const { parts } = ask({ messages: [calls('1', '2'), result('1'), result('2')] }).turns[1]!;
    expect(parts).toEqual([{ type: 'text', text: `${response('1')}\n${response('2')}` }]);
  });

  it('may have a content that is empty or missing', () => {
    for (const content of [null, undefined, '', [], [{ type: 'text', text: '' }]]) {
      expect(turns([{ ...calls('1'), content }, result('1')])[0]).toBe(`assistant: ${written}`);
    }
  });

  it.each<[string, object[], string]>([
    ['a result without a call', [result('1')], 'messages[0].tool_call_id'],
    ['a result of another call', [calls('1'), result('2')], 'messages[1].tool_call_id'],
    ['a second result', [calls('1'), result('1'), result('1')], 'messages[2].tool_call_id'],
    ['a result without an id', [calls('1'), { role: 'tool', content: 'x' }], 'messages[1].tool_call_id'],
    [
      'a result behind another message',
      [calls('1'), { role: 'user', content: 'x' }, result('1')],
      'messages[0].tool_calls[0]',
    ],
    ['a call without a result', [calls('1', '2'), result('1')], 'messages[0].tool_calls[1]'],
    ['calls with the same id', [calls('1', '1'), result('1')], 'messages[0].tool_calls'],
    [
      'a call without an id',
      [{ ...calls('1'), tool_calls: [{ function: { name: 'f', arguments: '' } }] }],
      'messages[0].tool_calls[0].id',
    ],
    ['a call without a function', [{ ...calls('1'), tool_calls: [{ id: '1' }] }], 'messages[0].tool_calls[0].function'],
    [
      'arguments that are no text',
      [{ ...calls('1'), tool_calls: [call('1', { arguments: {} })] }],
      'messages[0].tool_calls[0].function.arguments',
    ],
    ["a call in a user's message", [{ role: 'user', content: 'x', tool_calls: [call('1')] }], 'messages[0].tool_calls'],
    ["an id in a user's message", [{ role: 'user', content: 'x', tool_call_id: '1' }], 'messages[0].tool_call_id'],
    ['an image as a result', [calls('1'), result('1', [{ image_url: 'data:,x' }])], 'messages[1].content[0].image_url'],
    ['no result', [calls('1'), result('1', null)], 'messages[1].content'],
  ])('are refused: %s', (_what, messages, param) => {
    expect(refusal({ messages })).toMatchObject({ code: 'invalid_request', param });
  });
});
