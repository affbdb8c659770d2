/**
 * For each honoured field a value, its effect on the parsed request, and values that must be refused; and how a field is
 * sent alone. Tests of the parser and of docs/openapi.yaml share them.
 *
 * size: one table, to be read with docs/api.md.
 */
import { expect } from 'vitest';
import type { Fields, Values } from '../../../src/openai/field-checks.ts';
import * as constraints from '../../../src/openai/constraint-fields.ts';
import * as tables from '../../../src/openai/fields.ts';
import * as parts from '../../../src/openai/part-fields.ts';
import * as tools from '../../../src/openai/tool-fields.ts';

export type Body = Record<string, unknown>;

const IMAGE = 'data:image/png;base64,iVBORw0KGgo=';
export const MIN: Body = { model: 'm', messages: [{ role: 'user', content: 'hi' }] };

/** With properties in an order that is not the alphabet's. */
const SCHEMA = { type: 'object', properties: { b: {}, a: {} } };
const GRAMMAR = 'root ::= "a"+';
const TOOL = { type: 'function', function: { name: 'f', parameters: { properties: { a: {} } } } };
const TOOL_CALL = { id: 'call_1', type: 'function', function: { name: 'f', arguments: '{}' } };
const BAD_NAMES = ['', 'a b', 'ä', 'x'.repeat(65), 7, {}];
const BAD_TEXTS = ['', 7, {}, ['a']];
const BAD_CHOICES = [[], 'a', {}, [''], [1], Array(1025).fill('a')];
const BAD_SCHEMA_TEXTS = [7, [], '', 'x', '[]', '7', '"{}"'];

/** A value of an honoured field: either what it changes in the request, or (for closed sets) how another is refused. */
export type Sample = { value: unknown; sees: object; with?: Body; bad: unknown[] };

const REQUEST: Record<keyof Values<typeof tables.REQUEST>, Sample> = {
  model: { value: 'other', sees: { model: 'other' }, bad: ['', 7, ['m']] },
  messages: {
    value: [{ role: 'user', content: 'ho' }],
    sees: { turns: [{ role: 'user', parts: [{ type: 'text', text: 'ho' }] }] },
    bad: [[], 'hi', {}, [null], ['hi'], [[]], [{}], Array(1025).fill({ role: 'user', content: 'hi' })],
  },
  max_tokens: { value: 5, sees: { job: { maxTokens: 5 } }, bad: [0, -1, 1.5, '5', true, 1e300] },
  max_completion_tokens: { value: 6, sees: { job: { maxTokens: 6 } }, bad: [0, -1, 1.5, '5'] },
  temperature: { value: 0.7, sees: sampling({ temperature: 0.7 }), bad: [-0.1, 2.1, '1', [], true] },
  top_p: { value: 0.5, sees: sampling({ topP: 0.5 }), bad: [0, -1, 1.1, '1'] },
  top_k: { value: 40, sees: sampling({ topK: 40 }), bad: [-2, 1.5, '1'] },
  min_p: { value: 0.1, sees: sampling({ minP: 0.1 }), bad: [-0.1, 1.1, '0'] },
  seed: { value: -3, sees: sampling({ seed: -3 }), bad: [1.5, '1', 1e20] },
  stop: { value: ['a', 'b'], sees: { job: { stop: ['a', 'b'] } }, bad: ['', [''], [1], 1, {}, Array(17).fill('a')] },
  include_stop_str_in_output: { value: true, sees: rules({ includeStop: true }), bad: ['true', 1] },
  stop_token_ids: {
    value: [3, 0],
    sees: rules({ stopIds: [3, 0] }),
    bad: [3, '3', [-1], [1.5], ['3'], {}, Array(1025).fill(1)],
  },
  ignore_eos: { value: true, sees: rules({ ignoreEos: true }), bad: ['true', 1] },
  min_tokens: { value: 4, sees: rules({ minTokens: 4 }), bad: [-1, 1.5, '4', true] },
  allowed_token_ids: { value: [7], sees: rules({ allowed: [7] }), bad: [[], 7, [-1], [1.5], [null], {}] },
  bad_words: {
    value: ['a', ' b'],
    sees: rules({ badWords: ['a', ' b'] }),
    bad: ['a', [''], [1], {}, Array(129).fill('a')],
  },
  n: { value: 2, sees: { job: { choices: 2 } }, bad: [0, 129, 1.5, '1'] },
  frequency_penalty: { value: 0.3, sees: sampling({ frequencyPenalty: 0.3 }), bad: [-2.1, 2.1, '0'] },
  presence_penalty: { value: 0.4, sees: sampling({ presencePenalty: 0.4 }), bad: [-2.1, 2.1, '0'] },
  repetition_penalty: { value: 1.2, sees: sampling({ repetitionPenalty: 1.2 }), bad: [0, -1, 2.1, '1'] },
  logit_bias: {
    value: { '50': -100, '7': 1.5 },
    sees: sampling({
      logitBias: [
        [7, 1.5],
        [50, -100],
      ],
    }),
    bad: [[], 'x', { a: 1 }, { '-1': 1 }, { '1.5': 1 }, { '1': '2' }, { '1': 101 }, { '1': null }],
  },
  logprobs: { value: true, sees: { job: { topLogprobs: 0 } }, bad: ['true', 1, 5] },
  top_logprobs: {
    value: 3,
    with: { logprobs: true },
    sees: { job: { topLogprobs: 3 } },
    bad: [-1, 21, 1.5, '1'],
  },
  return_token_ids: { value: true, sees: { job: { tokenIds: true } }, bad: ['true', 1] },
  skip_special_tokens: { value: false, sees: { job: { specialTokens: true } }, bad: ['false', 0] },
  stream: { value: true, sees: { stream: true }, bad: ['true', 1] },
  stream_options: {
    value: { include_usage: true },
    with: { stream: true },
    sees: { includeUsage: true },
    bad: [true, [], { include_usage: 1 }],
  },
  response_format: {
    value: { type: 'json_object' },
    sees: constraint({ type: 'json', schema: { type: 'object' }, param: 'response_format' }),
    bad: ['text', [], { type: 1 }],
  },
  guided_json: { value: SCHEMA, sees: json('guided_json'), bad: BAD_SCHEMA_TEXTS },
  guided_regex: { value: 'a+', sees: regex('guided_regex'), bad: BAD_TEXTS },
  guided_choice: { value: ['a', 'b'], sees: choice('guided_choice'), bad: BAD_CHOICES },
  guided_grammar: { value: GRAMMAR, sees: grammar('guided_grammar'), bad: BAD_TEXTS },
  structured_outputs: {
    value: { regex: 'a+' },
    sees: regex('structured_outputs.regex'),
    bad: ['a+', [], { regex: 1 }],
  },
  tools: {
    value: [TOOL],
    sees: { toolChoice: 'auto', ...constraint({ type: 'tools', required: false, parallel: true, param: 'tools' }) },
    bad: ['f', {}, ['f'], [{}], [{ function: {} }], [TOOL, TOOL], Array(129).fill(TOOL)],
  },
  tool_choice: {
    value: { type: 'function', function: { name: 'f' } },
    with: { tools: [TOOL] },
    sees: { toolChoice: 'named', ...constraint({ required: true, parallel: false }) },
    bad: ['f', 7, [], { function: { name: 'g' } }, { type: 'function' }, { type: 'function', function: {} }],
  },
  parallel_tool_calls: {
    value: false,
    with: { tools: [TOOL] },
    sees: constraint({ parallel: false }),
    bad: ['false', 0, {}],
  },
  nvext: { value: { top_k: 4 }, sees: sampling({ topK: 4 }), bad: [1, [], { top_k: 'x' }] },
  cache: { value: false, sees: { job: { cache: false } }, bad: ['false', 0] },
};

const STREAM_OPTIONS: Record<keyof Values<typeof tables.STREAM_OPTIONS>, Sample> = {
  include_usage: { value: true, sees: { includeUsage: true }, bad: ['true', 1] },
};

const RESPONSE_FORMAT: Record<keyof Values<typeof constraints.RESPONSE_FORMAT>, Sample> = {
  type: { value: 'json_object', sees: { job: { constraint: { type: 'json' } } }, bad: ['xml', 1, {}] },
  json_schema: {
    value: { name: 'x', schema: SCHEMA },
    with: { type: 'json_schema' },
    sees: json('response_format.json_schema.schema'),
    bad: [true, 'x', [], { schema: 'x' }],
  },
};

const JSON_SCHEMA: Record<keyof Values<typeof constraints.JSON_SCHEMA>, Sample> = {
  schema: { value: SCHEMA, sees: json('response_format.json_schema.schema'), bad: [1, 'x', '{}', []] },
};

const STRUCTURED_OUTPUTS: Record<keyof Values<typeof constraints.STRUCTURED_OUTPUTS>, Sample> = {
  json: { value: SCHEMA, sees: json('structured_outputs.json'), bad: BAD_SCHEMA_TEXTS },
  regex: { value: 'a+', sees: regex('structured_outputs.regex'), bad: BAD_TEXTS },
  choice: { value: ['a', 'b'], sees: choice('structured_outputs.choice'), bad: BAD_CHOICES },
  grammar: { value: GRAMMAR, sees: grammar('structured_outputs.grammar'), bad: BAD_TEXTS },
  json_object: {
    value: true,
    sees: constraint({ type: 'json', schema: { type: 'object' }, param: 'structured_outputs.json_object' }),
    bad: ['true', 1, {}],
  },
};

const NVEXT: Record<keyof Values<typeof tables.NVEXT>, Sample> = {
  top_k: { value: 4, sees: sampling({ topK: 4 }), bad: [-2, '4'] },
  repetition_penalty: { value: 1.1, sees: sampling({ repetitionPenalty: 1.1 }), bad: [0, 3, '1'] },
  ignore_eos: { value: true, sees: rules({ ignoreEos: true }), bad: ['true', 1] },
  guided_json: { value: SCHEMA, sees: json('nvext.guided_json'), bad: BAD_SCHEMA_TEXTS },
  guided_regex: { value: 'a+', sees: regex('nvext.guided_regex'), bad: BAD_TEXTS },
  guided_choice: { value: ['a', 'b'], sees: choice('nvext.guided_choice'), bad: BAD_CHOICES },
  guided_grammar: { value: GRAMMAR, sees: grammar('nvext.guided_grammar'), bad: BAD_TEXTS },
};

const MESSAGE: Record<keyof Values<typeof tables.MESSAGE>, Sample> = {
  role: { value: 'system', sees: { turns: [{ role: 'system' }] }, bad: ['robot', 1, {}] },
  content: { value: 'ho', sees: { turns: [{ parts: [{ text: 'ho' }] }] }, bad: ['', 7, {}, [], [7], [''], [{}]] },
  tool_calls: {
    value: [TOOL_CALL],
    with: { role: 'assistant' },
    sees: { turns: [{ parts: [{ text: 'hi' }, { text: expect.stringMatching(/^\n<tool_call>\n/) }] }, {}] },
    bad: ['f', {}, ['f'], [{}], [{ ...TOOL_CALL, id: null }], Array(129).fill(TOOL_CALL)],
  },
  // A first message is no result of a call: tool-messages.test.ts sends one behind its call.
  tool_call_id: { value: 'call_1', with: { role: 'tool' }, sees: refusal('invalid_request'), bad: [7, {}, 'call_9'] },
  refusal: {
    value: 'no',
    with: { role: 'assistant', content: null },
    sees: { turns: [{ parts: [{ text: 'no' }] }] },
    bad: [7, {}],
  },
};

const TOOL_FIELDS: Record<keyof Values<typeof tools.TOOL>, Sample> = {
  type: { value: 'custom', sees: refusal('unsupported_field'), bad: ['tool', 7, {}] },
  function: { value: { name: 'g' }, sees: callable({ name: 'g' }), bad: ['f', {}, { name: 'f', code: '' }] },
};

const TOOL_FUNCTION: Record<keyof Values<typeof tools.TOOL_FUNCTION>, Sample> = {
  name: { value: 'g-2_B', sees: callable({ name: 'g-2_B' }), bad: BAD_NAMES },
  description: {
    value: 'Does it.',
    sees: { turns: [{ role: 'system', parts: [{ text: expect.stringContaining('Does it.') }] }, {}] },
    bad: [7, {}, ['x']],
  },
  parameters: {
    value: SCHEMA,
    sees: callable({ schema: SCHEMA, param: 'tools[0].function.parameters' }),
    bad: [7, '{}', [], true, { type: 'string' }, { type: ['object'] }],
  },
};

const CALL: Record<keyof Values<typeof tools.CALL>, Sample> = {
  id: { value: 'call_2', sees: refusal('invalid_request'), bad: [7, {}] },
  type: { value: 'custom', sees: refusal('unsupported_field'), bad: ['tool', 7, {}] },
  function: {
    value: { name: 'g', arguments: '{"a": 1}' },
    sees: { turns: [{ parts: [{ text: '<tool_call>\n{"name": "g", "arguments": {"a": 1}}\n</tool_call>' }] }, {}] },
    bad: ['f', {}, { name: 'g' }, { arguments: '{}' }],
  },
};

const CALLED_FUNCTION: Record<keyof Values<typeof tools.CALLED_FUNCTION>, Sample> = {
  name: { value: 'g', sees: { turns: [{ parts: [{ text: expect.stringContaining('"g"') }] }, {}] }, bad: BAD_NAMES },
  arguments: {
    value: '{"a": ',
    sees: { turns: [{ parts: [{ text: expect.stringContaining('{"a": }') }] }, {}] },
    bad: [7, {}],
  },
};

const TEXT_PART: Record<keyof Values<typeof parts.TEXT_PART>, Sample> = {
  type: { value: 'video_url', sees: refusal('unsupported_field'), bad: ['poem', 7, {}] },
  text: { value: 'ho', sees: { turns: [{ parts: [{ text: 'ho' }] }] }, bad: [7, {}] },
};

const REFUSAL_PART: Record<keyof Values<typeof parts.REFUSAL_PART>, Sample> = {
  type: { value: 'file', sees: refusal('unsupported_field'), bad: ['poem', 7, {}] },
  refusal: { value: 'ho', sees: { turns: [{ parts: [{ text: 'ho' }] }] }, bad: [7, {}] },
};

const IMAGE_PART: Record<keyof Values<typeof parts.IMAGE_PART>, Sample> = {
  type: { value: 'audio_url', sees: refusal('unsupported_field'), bad: ['poem', 7, {}] },
  image_url: { value: 'data:,other', sees: image({ url: 'data:,other' }), bad: [7, {}, [], { url: 7 }] },
  detail: { value: 'low', with: { image_url: IMAGE }, sees: image({ detail: 'low' }), bad: ['tiny', 7] },
};

const IMAGE_URL: Record<keyof Values<typeof parts.IMAGE_URL>, Sample> = {
  url: { value: 'data:,other', sees: image({ url: 'data:,other' }), bad: [7, {}] },
  detail: { value: 'high', sees: image({ detail: 'high' }), bad: ['tiny', 7] },
};

const inContent = (part: unknown, role = 'user'): Body => ({ model: 'm', messages: [{ role, content: [part] }] });

/** Each table with its samples, and how a field of it is sent alone. */
export const CASES: [name: string, path: string, Fields, Record<string, Sample | undefined>, (field: Body) => Body][] =
  [
    ['the request', '', tables.REQUEST, REQUEST, (field) => ({ ...MIN, ...field })],
    ['stream_options', 'stream_options.', tables.STREAM_OPTIONS, STREAM_OPTIONS, inOptions],
    ['response_format', 'response_format.', constraints.RESPONSE_FORMAT, RESPONSE_FORMAT, inFormat],
    ['json_schema', 'response_format.json_schema.', constraints.JSON_SCHEMA, JSON_SCHEMA, inSchema],
    ['structured_outputs', 'structured_outputs.', constraints.STRUCTURED_OUTPUTS, STRUCTURED_OUTPUTS, inOutputs],
    ['nvext', 'nvext.', tables.NVEXT, NVEXT, (nvext) => ({ ...MIN, nvext })],
    ['a message', 'messages[0].', tables.MESSAGE, MESSAGE, inMessage],
    ['a tool', 'tools[0].', tools.TOOL, TOOL_FIELDS, inTool],
    ['a function', 'tools[0].function.', tools.TOOL_FUNCTION, TOOL_FUNCTION, inFunction],
    ['a call', 'messages[0].tool_calls[0].', tools.CALL, CALL, inCall],
    ['a called function', 'messages[0].tool_calls[0].function.', tools.CALLED_FUNCTION, CALLED_FUNCTION, inCalled],
    ['a text part', 'messages[0].content[0].', parts.TEXT_PART, TEXT_PART, inText],
    ['a refusal part', 'messages[0].content[0].', parts.REFUSAL_PART, REFUSAL_PART, inRefusal],
    ['an image part', 'messages[0].content[0].', parts.IMAGE_PART, IMAGE_PART, inImage],
    ['image_url', 'messages[0].content[0].image_url.', parts.IMAGE_URL, IMAGE_URL, inImageURL],
  ];

function sampling(sees: object): object {
  return { job: { sampling: sees } };
}

function rules(sees: object): object {
  return { job: { rules: sees } };
}

function constraint(sees: object): object {
  return { job: { constraint: sees } };
}

function json(param: string): object {
  return constraint({ type: 'json', schema: SCHEMA, param });
}

function regex(param: string): object {
  return constraint({ type: 'regex', pattern: 'a+', param });
}

function choice(param: string): object {
  return constraint({ type: 'choice', texts: ['a', 'b'], param });
}

function grammar(param: string): object {
  return constraint({ type: 'grammar', ebnf: GRAMMAR, param });
}

function image(sees: object): object {
  return { turns: [{ parts: [{ type: 'image', ...sees }] }] };
}

function refusal(code: string): object {
  return { name: 'NearsightError', code };
}

function inOptions(field: Body): Body {
  return { ...MIN, stream: true, stream_options: field };
}

function inFormat(field: Body): Body {
  return { ...MIN, response_format: field };
}

function inSchema(field: Body): Body {
  return inFormat({ type: 'json_schema', json_schema: { schema: true, ...field } });
}

function inOutputs(field: Body): Body {
  return { ...MIN, structured_outputs: field };
}

/** Calls of tools get a result. */
function inMessage(field: Body): Body {
  const isCall = Array.isArray(field['tool_calls']) && field['tool_calls'].length > 0;
  const results = isCall ? [{ role: 'tool', tool_call_id: 'call_1', content: 'done' }] : [];
  return { model: 'm', messages: [{ role: 'user', content: 'hi', ...field }, ...results] };
}

function inTool(field: Body): Body {
  return { ...MIN, tools: [{ ...TOOL, ...field }] };
}

function inFunction(field: Body): Body {
  return inTool({ function: { ...TOOL.function, ...field } });
}

function inCall(field: Body): Body {
  return inMessage({ role: 'assistant', content: null, tool_calls: [{ ...TOOL_CALL, ...field }] });
}

function inCalled(field: Body): Body {
  return inCall({ function: { ...TOOL_CALL.function, ...field } });
}

function callable(sees: object): object {
  return constraint({ tools: [sees] });
}

function inText(field: Body): Body {
  return inContent({ type: 'text', text: 'hi', ...field });
}

function inRefusal(field: Body): Body {
  return inContent({ type: 'refusal', refusal: 'hi', ...field }, 'assistant');
}

function inImage(field: Body): Body {
  return inContent({ type: 'image_url', image_url: { url: IMAGE }, ...field });
}

function inImageURL(field: Body): Body {
  return inContent({ type: 'image_url', image_url: { url: IMAGE, ...field } });
}
