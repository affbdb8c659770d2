// @module-tag long-in-firefox
/**
 * Every field, with the real model. Each test sends one field of docs/api.md, which is generated from the table that
 * validates requests. An honoured field must change the answer, a harmless one must change nothing, a refused one must
 * give a 400 that names it. A new row fails until it has an effect here; a refusal is no effect.
 *
 * size: one table of effects, to be read with docs/api.md.
 */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TABLES } from './harness/field-tables.ts';
import { openPage, type TestPage } from './harness/harness.ts';
import { installRemotePage } from './harness/remote-page.ts';

type Json = Record<string, unknown>;

/** A response without the parts that differ each time. */
interface Reply {
  status: number;
  type: string | null;
  /** The JSON body; of a stream, its text and its usage. */
  body: Completion & { error: { code: string; param: string } };
}

interface Completion {
  model: string;
  choices: {
    message: { content: string | null; tool_calls?: { id: string; function: { name: string; arguments: string } }[] };
    finish_reason: string;
    token_ids?: number[];
    logprobs: { content: { token: string; bytes: number[]; top_logprobs: { logprob: number }[] }[] } | null;
  }[];
  prompt_token_ids?: number[];
  usage?: {
    prompt_tokens: number;
    completion_tokens: number;
    prompt_tokens_details?: { cached_tokens: number };
  };
}

interface Golden {
  name: string;
  messages: { content: unknown }[];
  input_ids: number[];
  answer: { text: string };
  /** Token and logit. */
  first_logits: { q4: [number, number][] };
}

const { cases: GOLDEN }: { cases: Golden[] } = JSON.parse(readFileSync('test/fixtures/glimpse/golden.json', 'utf8'));

let page: TestPage;

beforeAll(async () => {
  page = await openPage();
  await page.evaluate(installRemotePage);
  await page.evaluate(async () => {
    const near = remotePage.make({ aliases: { 'meta/llama': 'glimpse' }, images: { tags: true } });
    await near.load();
    Object.assign(globalThis, { near });
  });
});

afterAll(() => page[Symbol.asyncDispose]());

function ask(body: Json): Promise<Reply> {
  return page.evaluate(
    async (requestBody) => {
      const { near } = globalThis as unknown as { near: import('nearsight').Nearsight };
      const response = await near.fetch(remotePage.url, { method: 'POST', body: requestBody });
      const type = response.headers.get('content-type');
      const text = await response.text();
      const events = Array.from(text.matchAll(/^data: (\{.*)$/gm), ([, event = '']) => JSON.parse(event));
      // How a stream's text is divided into chunks may vary.
      const content = events.map(({ choices }) => choices[0]?.delta.content ?? '').join('');
      const ids = events.flatMap(({ choices }) => choices[0]?.token_ids ?? []);
      const streamed = {
        usage: events.at(-1)?.usage,
        prompt_token_ids: events[0]?.prompt_token_ids,
        choices: [{ message: { content }, ...(ids.length > 0 && { token_ids: ids }) }],
      };
      const whole = type === 'application/json' ? JSON.parse(text) : streamed;
      const body = { ...whole, id: '', created: 0 };
      // The number of cached tokens depends on earlier requests: only the test of `cache` needs it.
      if (!('cache' in JSON.parse(requestBody))) delete body.usage?.prompt_tokens_details;
      return { status: response.status, type, body };
    },
    JSON.stringify({ max_tokens: 6, ...body }),
  );
}

const [BANANA = '', SQUARE = '', THREE = ''] = ['banana', 'split-square', 'three'].map(
  (name) => `data:image/png;base64,${readFileSync(`test/fixtures/glimpse/${name}.png`, 'base64')}`,
);
const text = { type: 'text', text: 'What color is this?' };
/** 1279 is <end_of_utterance>: without it, glimpse answers up to `max_tokens`. */
const endless = { max_tokens: 24, logit_bias: { 1279: -100 } };
const sampled = { ...endless, temperature: 1.5, seed: 7 };
/** The end token comes first. */
const ended = { logit_bias: { 1279: 100 } };
/** Every token is this one. */
const TOKEN = 300;
const repeated = { logit_bias: { [TOKEN]: 100 }, return_token_ids: true };

const image = (fields: Json = {}): Json => ({ type: 'image_url', image_url: { url: BANANA }, ...fields });
const HOW_MANY = { role: 'user', content: [{ image_url: THREE }, 'how many things are there'] };
const chat = (content: unknown, role = 'user'): Json => ({ model: 'glimpse', messages: [{ role, content }] });
/** A tool without arguments, a call of it, and the result. */
const LOOK = { type: 'function', function: { name: 'look' } };
const CALL = { id: 'call_1', function: { name: 'look', arguments: '{}' } };
const CALLS = { role: 'assistant', content: null, tool_calls: [CALL] };
const RESULT = { role: 'tool', tool_call_id: 'call_1', content: 'seven' };
const callsOf = ({ body }: Reply): unknown[] =>
  body.choices[0]?.message.tool_calls?.map(({ function: called }) => called) ?? [];
const textOf = ({ body }: Reply): string => body.choices[0]?.message.content ?? '';
const promptTokens = ({ body }: Reply): number => body.usage?.prompt_tokens ?? NaN;
const refused = (param: string): object => ({ status: 400, body: { error: { code: 'unsupported_field', param } } });

/** What a field changes in an answer. */
interface Effect extends Checked {
  value: unknown;
  /** Other fields of the body that the field needs to have an effect. */
  request?: Json;
  /** Other fields of the same object. */
  siblings?: Json;
  /** The request whose answer must differ. Default: the same request without the field. */
  comparedTo?: Json;
}

interface Checked {
  check: (reply: Reply, without: Reply) => unknown;
}

/** Sampling from the likeliest token alone gives the greedy answer. */
const greedy = async (reply: Reply, without: Reply): Promise<void> => {
  expect(textOf(reply)).toBe(textOf(await ask({ ...chat([image(), text]), ...endless })));
  expect(textOf(reply)).not.toBe(textOf(without));
};
const differs = (reply: Reply, without: Reply): void => {
  expect(reply.status).toBe(200);
  expect(textOf(reply)).not.toBe(textOf(without));
};
/** The answer goes on behind its end tokens, which have no text. */
const endIgnored = ({ body }: Reply, without: Reply): void => {
  expect(without.body).toMatchObject({ choices: [{ finish_reason: 'stop' }], usage: { completion_tokens: 1 } });
  expect(body).toMatchObject({
    choices: [{ message: { content: '' }, finish_reason: 'length' }],
    usage: { completion_tokens: 6 },
  });
};
const longer = (reply: Reply, without: Reply): void =>
  expect(promptTokens(reply)).toBeGreaterThan(promptTokens(without));
/** The part makes the prompt longer, and the answer is the same as to an equivalent request. */
const isRead = (equivalent: Json): Checked['check'] => {
  return async (reply, without) => {
    longer(reply, without);
    expect(reply).toEqual(await ask(equivalent));
  };
};

/** The golden case with a system message. It has the reference's logits of the first token. */
const SYSTEM = GOLDEN.find(({ name }) => name === 'system')!;

/** The largest difference from the reference's log probabilities of the first token, each relative to the likeliest. */
function differenceFromReference(reply: Reply): number {
  const top = reply.body.choices[0]?.logprobs?.content[0]?.top_logprobs ?? [];
  expect(top).toHaveLength(SYSTEM.first_logits.q4.length);
  const expected = SYSTEM.first_logits.q4.map(([, logit], _, [first]) => logit - first![1]);
  return Math.max(...top.map(({ logprob }, at) => Math.abs(logprob - top[0]!.logprob - expected[at]!)));
}

/** Tokens enough for a constrained text to end by itself. */
const room = { max_tokens: 64 };
/** And for calls of tools. */
const long = { max_tokens: 160 };
/** Its properties are not in the order of the alphabet. */
const THING = {
  type: 'object',
  properties: { count: { type: 'integer', minimum: 0, maximum: 9 }, color: { enum: ['red', 'yellow'] } },
  required: ['color', 'count'],
  additionalProperties: false,
};

/** Valid under `THING`, in its order, with the documented white space. */
const isThing = ends(/^\{"count": \d, "color": "(red|yellow)"\}$/);

const mustCall = { tools: [LOOK], tool_choice: 'required' };
/** The tool is called once, with no arguments and no text. */
const isCalled = (reply: Reply): void => {
  expect(callsOf(reply)).toEqual([{ name: 'look', arguments: '{}' }]);
  expect(reply.body.choices[0]).toMatchObject({ message: { content: null }, finish_reason: 'tool_calls' });
};

/** The constraints that have the same names in the body and in `nvext`. */
const guided = {
  guided_json: { value: THING, request: room, check: isThing },
  guided_regex: { value: '[0-9]{3}-[a-c]{2}', request: room, check: ends(/^\d{3}-[a-c]{2}$/) },
  guided_choice: { value: ['zebra', 'quagga'], request: room, check: ends(/^(zebra|quagga)$/) },
  guided_grammar: {
    value: 'root ::= animal "s"\nanimal ::= "zebra" | "quagga"',
    request: room,
    check: ends(/^(zebra|quagga)s$/),
  },
} satisfies Record<string, Effect>;

/** The effects of one table's fields, and how such a field is sent. */
interface FieldTable {
  /** Text in the table's title. */
  about: string;
  path: string;
  send: (field: Json) => Json;
  effects: Record<string, Effect>;
}

const TABLES_UNDER_TEST: FieldTable[] = [
  {
    about: 'The body',
    path: '',
    send: (field) => ({ ...chat([image(), text]), ...field }),
    effects: {
      model: { value: 'meta/llama', check: ({ body }) => expect(body.model).toBe('meta/llama') },
      messages: { value: [{ role: 'user', content: 'hi' }], check: differs },
      max_tokens: cut(),
      max_completion_tokens: { ...cut(), request: { max_tokens: undefined } },
      temperature: { value: 2, request: { ...endless, seed: 1 }, check: differs },
      top_p: { value: 1e-9, request: sampled, check: greedy },
      top_k: { value: 1, request: sampled, check: greedy },
      min_p: { value: 1, request: sampled, check: greedy },
      seed: {
        value: 8,
        request: sampled,
        async check(reply, without) {
          expect(textOf(reply)).not.toBe(textOf(without));
          expect(textOf(await ask({ ...chat([image(), text]), ...sampled, seed: 8 }))).toBe(textOf(reply));
        },
      },
      stop: {
        value: ['e'],
        request: endless,
        check(reply, without) {
          expect(textOf(reply)).toBe(textOf(without).slice(0, textOf(without).indexOf('e')));
          expect(reply.body.choices[0]?.finish_reason).toBe('stop');
        },
      },
      include_stop_str_in_output: {
        value: true,
        request: { ...endless, stop: ['e'] },
        check: (reply, without) => expect(textOf(reply)).toBe(`${textOf(without)}e`),
      },
      stop_token_ids: {
        value: [TOKEN],
        request: repeated,
        check({ body }, without) {
          expect(without.body).toMatchObject({
            choices: [{ finish_reason: 'length' }],
            usage: { completion_tokens: 6 },
          });
          expect(body.choices[0]).toMatchObject({
            message: { content: '' },
            token_ids: [TOKEN],
            finish_reason: 'stop',
          });
        },
      },
      ignore_eos: { value: true, request: ended, check: endIgnored },
      min_tokens: {
        value: 4,
        request: ended,
        check({ body }, without) {
          expect(without.body.usage?.completion_tokens).toBe(1);
          expect(body).toMatchObject({ choices: [{ finish_reason: 'stop' }], usage: { completion_tokens: 5 } });
        },
      },
      allowed_token_ids: {
        value: [TOKEN, 500, 700],
        request: { ...endless, return_token_ids: true },
        check({ body }) {
          expect(body.choices[0]?.token_ids).toHaveLength(24);
          expect([TOKEN, 500, 700]).toEqual(expect.arrayContaining(body.choices[0]?.token_ids ?? []));
        },
      },
      bad_words: {
        value: ['blue'],
        request: endless,
        check(reply, without) {
          expect(textOf(without)).toMatch(/blue/);
          expect(textOf(reply)).not.toMatch(/blue/);
        },
      },
      n: { value: 2, check: ({ body }) => expect(body.choices).toHaveLength(2) },
      frequency_penalty: { value: 2, request: endless, check: differs },
      presence_penalty: { value: 2, request: endless, check: differs },
      repetition_penalty: { value: 2, request: endless, check: differs },
      logit_bias: { value: { 1279: 100 }, check: (reply) => expect(textOf(reply)).toBe('') },
      logprobs: {
        value: true,
        check({ body }) {
          const { message, logprobs } = body.choices[0]!;
          expect(message.content).toMatch(/./);
          expect(logprobs?.content.map(({ token }) => token).join('')).toBe(message.content);
          const bytes = logprobs?.content.flatMap((token) => token.bytes) ?? [];
          expect(Buffer.from(bytes).toString()).toBe(message.content);
        },
      },
      top_logprobs: {
        value: 3,
        request: { logprobs: true },
        check: ({ body }) => expect(body.choices[0]?.logprobs?.content[0]?.top_logprobs).toHaveLength(3),
      },
      return_token_ids: {
        value: true,
        async check({ body }) {
          const { prompt_token_ids, choices, usage } = body;
          expect(prompt_token_ids).toHaveLength(usage?.prompt_tokens ?? NaN);
          expect(choices[0]?.token_ids).toHaveLength(usage?.completion_tokens ?? NaN);
          const streamed = await ask({ ...chat([image(), text]), return_token_ids: true, stream: true });
          expect(streamed.body).toMatchObject({ prompt_token_ids, choices: [{ token_ids: choices[0]?.token_ids }] });
        },
      },
      skip_special_tokens: {
        value: false,
        request: { logit_bias: { 1278: 100 }, max_tokens: 2 },
        check(reply, without) {
          expect(textOf(reply)).toBe('<image><image>');
          expect(textOf(without)).toBe('');
        },
      },
      stream: {
        value: true,
        check(reply, without) {
          expect(reply.type).toBe('text/event-stream');
          expect(textOf(reply)).toBe(textOf(without));
        },
      },
      stream_options: { value: { include_usage: true }, request: { stream: true }, check: hasUsage },
      response_format: { value: { type: 'json_object' }, request: room, check: isObject },
      ...guided,
      structured_outputs: { ...guided.guided_choice, value: { choice: ['zebra', 'quagga'] } },
      tools: { value: [LOOK], check: longer },
      tool_choice: { value: 'required', request: { ...mustCall, ...long, logit_bias: { 1279: 5 } }, check: isCalled },
      parallel_tool_calls: {
        value: false,
        request: { ...mustCall, ...long, logit_bias: endless.logit_bias },
        check(reply, without) {
          isCalled(reply);
          expect(callsOf(without).length).toBeGreaterThan(1);
        },
      },
      nvext: { value: { top_k: 1 }, request: sampled, check: greedy },
      cache: {
        value: false,
        // Earlier tests sent the same prompt, so it is cached.
        request: { cache: true },
        check(reply, without) {
          expect(without.body.usage?.prompt_tokens_details?.cached_tokens).toBeGreaterThan(8);
          expect(reply.body.usage?.prompt_tokens_details?.cached_tokens).toBe(0);
          expect(textOf(reply)).toBe(textOf(without));
        },
      },
    },
  },
  {
    about: '`stream_options`',
    path: 'stream_options.',
    send: (field) => ({ ...chat(text.text), stream: true, stream_options: field }),
    effects: { include_usage: { value: true, check: hasUsage } },
  },
  {
    about: '`response_format`',
    path: 'response_format.',
    send: (field) => ({ ...chat([image(), text]), response_format: field }),
    effects: {
      type: { value: 'json_object', request: room, check: isObject },
      json_schema: {
        value: { name: 'thing', schema: THING },
        siblings: { type: 'json_schema' },
        request: room,
        comparedTo: chat([image(), text]),
        check: isThing,
      },
    },
  },
  {
    about: '`response_format.json_schema`',
    path: 'response_format.json_schema.',
    send: (field) => ({
      ...chat([image(), text]),
      ...room,
      response_format: { type: 'json_schema', json_schema: { schema: THING, ...field } },
    }),
    effects: { schema: { value: THING, request: room, comparedTo: chat([image(), text]), check: isThing } },
  },
  {
    about: '`structured_outputs`',
    path: 'structured_outputs.',
    send: (field) => ({ ...chat([image(), text]), structured_outputs: field }),
    effects: {
      json: guided.guided_json,
      regex: guided.guided_regex,
      choice: guided.guided_choice,
      grammar: guided.guided_grammar,
      json_object: { value: true, request: room, check: isObject },
    },
  },
  {
    about: '`tools[]`',
    path: 'tools[0].',
    send: (field) => ({ ...chat([image(), text]), tools: [{ function: LOOK.function, ...field }] }),
    effects: {
      type: {
        value: 'function',
        comparedTo: chat([image(), text]),
        check: isRead({ ...chat([image(), text]), tools: [{ function: LOOK.function }] }),
      },
      function: { value: { name: 'look', description: 'Looks at it.' }, check: longer },
    },
  },
  {
    about: '`tools[].function`',
    path: 'tools[0].function.',
    send: (field) => ({ ...chat([image(), text]), tools: [{ function: { ...LOOK.function, ...field } }] }),
    effects: {
      name: { value: 'look_again_at_it', check: longer },
      description: { value: 'Looks at it.', check: longer },
      parameters: {
        value: THING,
        request: { ...long, tool_choice: { type: 'function', function: { name: 'look' } } },
        check(reply, without) {
          expect(callsOf(without)).toEqual([{ name: 'look', arguments: '{}' }]);
          const args = expect.stringMatching(/^\{"count": \d, "color": "(red|yellow)"\}$/);
          expect(callsOf(reply)).toEqual([{ name: 'look', arguments: args }]);
          expect(reply.body.choices[0]?.finish_reason).toBe('stop');
        },
      },
    },
  },
  {
    about: '`nvext`',
    path: 'nvext.',
    send: (field) => ({ ...chat([image(), text]), nvext: field }),
    effects: {
      top_k: { value: 1, request: sampled, check: greedy },
      repetition_penalty: { value: 2, request: endless, check: differs },
      ignore_eos: { value: true, request: ended, check: endIgnored },
      ...guided,
    },
  },
  {
    about: '`messages[]`',
    path: 'messages[0].',
    // A call needs its result, and a result its call.
    send: (field) => ({
      ...chat(''),
      messages: [
        ...(field['role'] === 'tool' ? [CALLS] : []),
        { role: 'user', content: 'hi', ...field },
        ...(field['tool_calls'] ? [RESULT] : []),
        HOW_MANY,
      ],
    }),
    effects: {
      role: {
        value: 'system',
        request: { logprobs: true, top_logprobs: 10 },
        siblings: { content: SYSTEM.messages[0]!.content },
        async check(reply, without) {
          expect(textOf(reply)).toBe(SYSTEM.answer.text);
          expect(promptTokens(reply)).toBe(SYSTEM.input_ids.length);
          // With the role `user` or `assistant`, the same text gives another prompt.
          expect(differenceFromReference(reply)).toBeLessThan(0.01);
          expect(differenceFromReference(without)).toBeGreaterThan(0.1);
          const as = (role: string): Promise<Reply> => {
            const messages = [{ role, content: SYSTEM.messages[0]!.content }, HOW_MANY];
            return ask({ ...chat(''), logprobs: true, top_logprobs: 10, messages });
          };
          expect(differenceFromReference(await as('developer'))).toBeLessThan(0.01);
          expect(differenceFromReference(await as('assistant'))).toBeGreaterThan(0.1);
        },
      },
      content: { value: 'hi there, what is this?', check: longer },
      tool_calls: {
        value: [CALL],
        siblings: { role: 'assistant' },
        comparedTo: { ...chat(''), messages: [{ role: 'assistant', content: 'hi' }, HOW_MANY] },
        check: longer,
      },
      tool_call_id: {
        value: 'call_1',
        siblings: { role: 'tool', content: 'seven' },
        comparedTo: { ...chat(''), messages: [HOW_MANY] },
        check: isRead({ ...chat(''), messages: [CALLS, RESULT, HOW_MANY] }),
      },
      refusal: {
        value: 'That I will not say.',
        siblings: { role: 'assistant', content: null },
        comparedTo: { ...chat(''), messages: [{ role: 'assistant', content: '' }, HOW_MANY] },
        check: longer,
      },
    },
  },
  {
    about: '`messages[].tool_calls[]`',
    path: 'messages[0].tool_calls[0].',
    send: (field) => {
      const call = { ...CALLS, tool_calls: [{ ...CALL, ...field }] };
      return { ...chat(''), messages: [call, { ...RESULT, tool_call_id: field['id'] ?? CALL.id }, HOW_MANY] };
    },
    effects: {
      id: {
        value: 'call_2',
        comparedTo: { ...chat(''), messages: [HOW_MANY] },
        async check(reply, without) {
          longer(reply, without);
          const other = await ask({ ...chat(''), messages: [CALLS, { ...RESULT, tool_call_id: 'call_2' }, HOW_MANY] });
          expect(other.body.error.param).toBe('messages[1].tool_call_id');
        },
      },
      type: {
        value: 'function',
        comparedTo: { ...chat(''), messages: [HOW_MANY] },
        check: isRead({ ...chat(''), messages: [CALLS, RESULT, HOW_MANY] }),
      },
      function: { value: { name: 'look', arguments: '{"at": "it"}' }, check: longer },
    },
  },
  {
    about: '`messages[].tool_calls[].function`',
    path: 'messages[0].tool_calls[0].function.',
    send: (field) => {
      const call = { ...CALLS, tool_calls: [{ ...CALL, function: { ...CALL.function, ...field } }] };
      return { ...chat(''), messages: [call, RESULT, HOW_MANY] };
    },
    effects: {
      name: { value: 'look_again_at_it', check: longer },
      arguments: { value: '{"at": "it"}', check: longer },
    },
  },
  {
    about: 'with text',
    path: 'messages[0].content[0].',
    send: (field) => chat([{ type: 'text', text: 'hi', ...field }, image()]),
    effects: {
      type: { value: 'text', comparedTo: chat([image()]), check: isRead(chat(['hi', image()])) },
      text: { value: 'hi there, what is this?', check: longer },
    },
  },
  {
    about: 'with a refusal',
    path: 'messages[0].content[0].',
    send: (field) => chat([{ type: 'refusal', refusal: 'No.', ...field }], 'assistant'),
    effects: {
      type: { value: 'refusal', comparedTo: chat('', 'assistant'), check: isRead(chat('No.', 'assistant')) },
      refusal: { value: 'That I will not say.', check: longer },
    },
  },
  {
    about: 'with an image',
    path: 'messages[0].content[0].',
    send: (field) => chat([image(field), text]),
    effects: {
      type: { value: 'image_url', comparedTo: chat([text]), check: isRead(chat([{ image_url: BANANA }, text])) },
      image_url: { value: SQUARE, check: differs },
      detail: { value: 'high', siblings: { image_url: SQUARE }, check: longer },
    },
  },
  {
    about: '`messages[].content[].image_url`',
    path: 'messages[0].content[0].image_url.',
    send: (field) => chat([image({ image_url: { url: BANANA, ...field } }), text]),
    effects: {
      url: { value: SQUARE, check: differs },
      detail: { value: 'high', siblings: { url: SQUARE }, check: longer },
    },
  },
];

function cut(): Effect {
  return { value: 1, check: ({ body }) => expect(body.usage?.completion_tokens).toBe(1) };
}

/** The text ends by itself, and is this. */
function ends(whole: RegExp): Checked['check'] {
  return (reply) => {
    expect(textOf(reply)).toMatch(whole);
    expect(reply.body.choices[0]?.finish_reason).toBe('stop');
  };
}

/** A JSON object, or the beginning of one that `max_tokens` cut off. */
function isObject(reply: Reply): void {
  expect(textOf(reply)).toMatch(/^\{/);
  if (reply.body.choices[0]?.finish_reason === 'stop') expect(JSON.parse(textOf(reply))).toBeTypeOf('object');
  else expect(reply.body.usage?.completion_tokens).toBe(room.max_tokens);
}

function hasUsage({ body }: Reply, without: Reply): void {
  expect(body.usage).toMatchObject({ completion_tokens: expect.any(Number) });
  expect(without.body.usage).toBeUndefined();
}

/** The tables without effects: only that of the parts of messages that are refused. */
const otherTables = [...TABLES].filter(([title]) => !TABLES_UNDER_TEST.some(({ about }) => title.includes(about)));

test('every table of docs/api.md is tested', () => {
  expect(otherTables).toHaveLength(1);
  expect(TABLES.size).toBe(TABLES_UNDER_TEST.length + 1);
});

describe.each(TABLES_UNDER_TEST)('$about', ({ about, path, send, effects }) => {
  const rows = [...TABLES].find(([title]) => title.includes(about))?.[1] ?? [];

  test.each(rows.filter(({ support }) => support === 'honoured'))('honours $field', async ({ field }) => {
    const effect = effects[field];
    if (!effect)
      throw new Error(`TABLES_UNDER_TEST has no effect for ${path}${field}: an honoured field must change the answer.`);
    const { value, request, siblings, comparedTo, check } = effect;
    const without = await ask({ ...request, ...(comparedTo ?? send({ ...siblings })) });
    const reply = await ask({ ...request, ...send({ ...siblings, [field]: value }) });
    expect([reply.status, without.status]).toEqual([200, 200]);
    expect(reply).not.toEqual(without);
    await check(reply, without);
  });

  test('has an effect for each honoured field, and for no other', () => {
    const honoured = rows.filter(({ support }) => support === 'honoured').map((row) => row.field);
    expect(Object.keys(effects).toSorted()).toEqual(honoured.toSorted());
  });

  test.each(rows.filter(({ support }) => support === 'harmless'))(
    'the answer is the same with $field',
    async ({ field }) => {
      const without = await ask(send({}));
      expect(without.status).toBe(200);
      for (const value of ['text', { a: 1 }]) expect(await ask(send({ [field]: value }))).toEqual(without);
    },
  );

  test.each(rows.filter(({ support }) => support === 'refused'))('refuses $field', async ({ field, noOpValues }) => {
    expect(await ask(send({ [field]: 'anything at all' }))).toMatchObject(refused(`${path}${field}`));
    const without = await ask(send({}));
    expect(without.status).toBe(200);
    for (const value of noOpValues) expect(await ask(send({ [field]: value }))).toEqual(without);
  });
});

test.each(otherTables.flatMap(([, rows]) => rows))('refuses parts of type $field', async ({ field }) => {
  const part = { type: field, [field]: { url: BANANA } };
  expect(await ask(chat([text, part]))).toMatchObject(refused('messages[0].content[1].type'));
});

test.each<Json>([
  { ...endless, stop: ['e'], include_stop_str_in_output: true },
  { ...endless, stop: ['e'], min_tokens: 10 },
  { ...endless, bad_words: ['blue', 'frog'] },
  { ...sampled, allowed_token_ids: [TOKEN, 500, 700, 1279], stop_token_ids: [500], include_stop_str_in_output: true },
  { ...sampled, ...ended, min_tokens: 5, ignore_eos: true },
])('the answer is the same when it is streamed: %j', async (fields) => {
  const body = { ...chat([image(), text]), return_token_ids: true, ...fields };
  const [whole, streamed] = [await ask(body), await ask({ ...body, stream: true })];
  expect([whole.status, streamed.status]).toEqual([200, 200]);
  expect(textOf(streamed)).toBe(textOf(whole));
  expect(streamed.body.choices[0]?.token_ids).toEqual(whole.body.choices[0]?.token_ids);
});

test('where no token is allowed, the answer fails, and names the reason', async () => {
  const reply = await ask({ ...chat(text.text), allowed_token_ids: [1279], min_tokens: 1 });
  expect(reply.body.error.code).toBe('constraint_unsatisfiable');
});

test('beside tools, the text is what its schema says, or calls', async () => {
  const request = { ...chat([image(), text]), ...long, tools: [LOOK], guided_json: THING };
  const reply = await ask(request);
  if (callsOf(reply).length > 0) isCalled(reply);
  else await isThing(reply, reply);
  isCalled(await ask({ ...request, ...mustCall, parallel_tool_calls: false }));
  // Without the first character of a call, only JSON is left.
  await isThing(await ask({ ...request, bad_words: ['<'] }), reply);
});

test('a constrained text that is cut off is the beginning of the whole one, and so is what streams', async () => {
  const request = { ...chat([image(), text]), ...room, guided_json: THING };
  const whole = await ask(request);
  const cut = await ask({ ...request, max_tokens: 4 });
  expect(cut.body.choices[0]?.finish_reason).toBe('length');
  expect(textOf(whole).startsWith(textOf(cut))).toBe(true);
  expect(textOf(whole).length).toBeGreaterThan(textOf(cut).length);
  expect(textOf(await ask({ ...request, stream: true }))).toBe(textOf(whole));
});

const question = 'What color is this?';

test.each<[string, unknown]>([
  ['an image as a bare string', [{ type: 'image_url', image_url: BANANA }, text]],
  ['parts without types', [{ image_url: { url: BANANA } }, { text: question }]],
  ['plain strings among the parts', [image(), question]],
  [
    "Responses' names of the parts",
    [
      { type: 'input_image', image_url: BANANA },
      { type: 'input_text', text: question },
    ],
  ],
  ['a tag in a string', `<img src="${BANANA}" />${question}`],
  ['a tag in another spelling', `<IMG alt='' src='${BANANA}'>${question}`],
])('%s gives the same message', async (_what, content) => {
  const usual = await ask(chat([image(), text]));
  expect(usual.status).toBe(200);
  expect(await ask(chat(content))).toEqual(usual);
});

test.each<[string, unknown]>([
  ['in a part', [{ type: 'text', text: '<img src="data:,x" /> is a tag.' }]],
  ['that is escaped', '&lt;img src="data:,x" />'],
])('a tag %s is read as text', async (_where, content) => {
  expect((await ask(chat(content))).status).toBe(200);
  expect((await ask(chat('<img src="data:,x" />'))).body.error.code).toBe('unreadable_image');
});
