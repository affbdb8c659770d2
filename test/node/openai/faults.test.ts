/** A request with several faults: what is invalid decides, in whichever order its fields come. */
import { describe, expect, it } from 'vitest';
import { parseChat } from '../../../src/openai/parse-request.ts';
import { MIN, type Body } from './samples.ts';

/** Faults of one field that a remote may not have. */
const REFUSED: [param: string, Body][] = [
  ['reasoning_effort', { reasoning_effort: 'high' }],
  ['structured_outputs.structural_tag', { structured_outputs: { structural_tag: '{}' } }],
  ['response_format.type', { response_format: { type: 'structural_tag', structures: [], triggers: [] } }],
  ['guided_regex', { guided_regex: 'a'.repeat(5000) }],
  ['tools[0].type', { tools: [{ type: 'custom', custom: { name: 'f' } }] }],
  ['tool_choice', { tool_choice: { type: 'allowed_tools', allowed_tools: {} } }],
];

/** Faults of one field that nobody can serve. */
const INVALID: [param: string, Body][] = [
  ['temprature', { temprature: 0 }],
  ['temperature', { temperature: 'hot' }],
  ['nvext.foo', { nvext: { foo: 1 } }],
  ['stream_options', { stream_options: {} }],
  ['max_completion_tokens', { max_tokens: 5, max_completion_tokens: 6 }],
  ['min_tokens', { max_tokens: 5, min_tokens: 6 }],
  ['messages[0].foo', { messages: [{ role: 'user', content: 'hi', foo: 1 }] }],
  ['messages[0].content[0].foo', { messages: [{ role: 'user', content: [{ type: 'text', text: 'hi', foo: 1 }] }] }],
  ['messages[0].content[0].type', { messages: [{ role: 'user', content: [{ type: 'poem' }] }] }],
  ['messages[0].content[0]', { messages: [{ role: 'user', content: [[{ image_url: 'data:,x' }]] }] }],
];

function faultOf(body: Body): unknown {
  try {
    return parseChat(body);
  } catch (error) {
    return error;
  }
}

describe.each(REFUSED)('beside %s', (refused, body) => {
  it.each(INVALID)('%s is what the 400 names', (param, invalid) => {
    for (const both of [
      { ...MIN, ...body, ...invalid },
      { ...invalid, ...body, ...MIN, ...invalid },
    ]) {
      expect(faultOf(both)).toMatchObject({ code: 'invalid_request', param });
    }
  });

  it('nothing else is named', () => {
    expect(faultOf({ ...MIN, ...body })).toMatchObject({
      code: expect.stringMatching(/^unsupported_/),
      param: refused,
    });
    expect(faultOf({ ...body, ...MIN, priority: 1 })).toMatchObject({
      code: expect.stringMatching(/^unsupported_/),
      param: refused,
    });
  });
});

describe('behind a part that is refused', () => {
  const user = (...content: unknown[]): object => ({ role: 'user', content });

  it.each<[param: string, Body]>([
    [
      'messages[1].foo',
      {
        messages: [
          { role: 'function', content: 'x' },
          { ...user('hi'), foo: 1 },
        ],
      },
    ],
    ['messages[0].foo', { messages: [{ ...user('hi'), function_call: {}, foo: 1 }] }],
    ['messages[0].content[1].foo', { messages: [user({ type: 'video_url', video_url: {} }, { text: 'a', foo: 1 })] }],
    [
      'messages[0].content[0].image_url.foo',
      { messages: [user({ image_url: { url: 'data:,x', detail: 'original', foo: 1 } })] },
    ],
    ['tools[1].function.name', { tools: [{ type: 'custom', custom: {} }, { function: { name: 'a b' } }] }],
  ])('%s is what the 400 names', (param, body) => {
    expect(faultOf({ ...MIN, ...body })).toMatchObject({ code: 'invalid_request', param });
  });

  it("an assistant's message may lack a content", () => {
    const call = { role: 'assistant', content: null, function_call: { name: 'f', arguments: '{}' } };
    expect(faultOf({ ...MIN, messages: [user('hi'), call] })).toMatchObject({
      code: 'unsupported_field',
      param: 'messages[1].function_call',
    });
  });
});
