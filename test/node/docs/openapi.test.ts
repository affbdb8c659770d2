/** docs/openapi.yaml describes exactly what the parser accepts and what responses contain. */
import Ajv2020 from 'ajv/dist/2020.js';
import { describe, expect, it, vi } from 'vitest';
import { getModel, health, listModels } from '../../../src/openai/model-list.ts';
import { errorResponse } from '../../../src/openai/error-response.ts';
import { parseChat } from '../../../src/openai/parse-request.ts';
import { respond } from '../../../src/openai/respond.ts';
import { ERRORS, NearsightError, type ErrorCode } from '../../../src/protocol/errors.ts';
import { CASES, MIN } from '../openai/samples.ts';
import { describeAPI, nameOf, openapi } from './openapi.ts';
import { ANSWER, finish, partsOf, START, text, USAGE } from '../job-parts.ts';

vi.mock('../../../src/openai/field-checks.ts', async (original) => {
  const { describing } = await import('./openapi-checks.ts');
  return describing(await original());
});

const ajv = new Ajv2020({
  strict: true,
  strictRequired: false,
  strictTypes: false,
  allowUnionTypes: true,
  logger: false,
});
ajv.addFormat('uri', true);
const SCHEMAS = describeAPI().components.schemas;
for (const [name, schema] of Object.entries(SCHEMAS)) ajv.addSchema(schema, `#/components/schemas/${name}`);

const describes = (name: string, value: unknown): boolean => ajv.validate(`#/components/schemas/${name}`, value);

function accepts(body: unknown): boolean {
  try {
    return Boolean(parseChat(body));
  } catch {
    return false;
  }
}

/** Rules between fields, which the prose states and the schema omits. */
const BEYOND = [
  // top_logprobs needs logprobs; a question must not be empty; only a refusal can replace content; a type of
  // response_format needs its schema, and the other way round; a tool that is named must be there, each name once; a result
  // follows its call.
  /"top_logprobs":[1-9]\d*,?(?!.*"logprobs":true)/,
  /"content":(""|\[\]|\[""\]|null)/,
  /"type":"json_schema"(?!,"json_schema":\{)/,
  /"response_format":\{"json_schema":\{/,
  /"tool_choice":\{.*"g"/,
  /("name":"f".*){2}/,
  /"messages":\[\{"role":"tool"/,
  /"id":"call_2"/,
];

describe.each(CASES)('requests: %s', (_name, _path, fields, samples, send) => {
  it.each(Object.entries(fields))('%s', (name, field) => {
    const sample = samples[name];
    const values = [null, ...(sample ? [sample.value, ...sample.bad] : ['anything', {}, 7])];
    if (field.support === 'refused') values.push(...field.noopValues);
    for (const value of values) {
      const body = send({ ...sample?.with, [name]: value });
      const written = JSON.stringify(body);
      if (written.includes('undefined') || BEYOND.some((rule) => rule.test(written))) continue;
      expect([written.slice(0, 200), describes('VisionChatRequest', body)]).toEqual([
        written.slice(0, 200),
        accepts(body),
      ]);
    }
  });
});

it.each(CASES)('defaults: %s has the same result with and without them', (_name, _path, fields, samples, send) => {
  for (const [name, schema] of Object.entries(SCHEMAS[nameOf(fields)]?.['properties'] ?? {})) {
    const usual: unknown = Object(schema).default;
    if (usual === undefined) continue;
    const others = samples[name]?.with;
    expect(parseChat(send({ ...others, [name]: usual })), name).toEqual(parseChat(send({ ...others })));
  }
});

it('has no broken references', () => {
  for (const [, name = ''] of openapi().matchAll(/schemas\/(\w+)/g)) expect(SCHEMAS).toHaveProperty(name);
});

describe('answers', () => {
  const entry = { token: 'a', logprob: -1, bytes: [97], top: [{ token: 'a', logprob: -1, bytes: [97] }] };
  const first = { ...text('a', 0, [entry]), ids: [5] };
  const parts = [{ ...START, promptIds: [7] }, first, text('b', 1, [entry]), finish(1, 'length'), finish(), USAGE];
  const answer = async (fields: object): Promise<Response> =>
    respond(parseChat({ ...MIN, ...fields }), partsOf(...parts), { model: 'm', reason: 'local-first' });

  it('a JSON body', async () => {
    const body: unknown = await (
      await answer({ n: 2, logprobs: true, top_logprobs: 1, return_token_ids: true })
    ).json();
    expect(describes('VisionChatResponse', body), ajv.errorsText()).toBe(true);
    expect(describes('VisionChatResponse', { ...Object(body), choices: [{}] })).toBe(false);
    expect(describes('VisionChatResponse', { ...Object(body), prompt_token_ids: ['7'] })).toBe(false);
  });

  it('each event of a stream', async () => {
    const response = await answer({ n: 2, logprobs: true, stream: true, stream_options: { include_usage: true } });
    const events = (await response.text()).split('\n\n').slice(0, -2);
    expect(events.length).toBeGreaterThan(ANSWER.length);
    for (const event of events) expect(describes('VisionChatChunk', JSON.parse(event.slice(6))), event).toBe(true);
  });

  it('calls of tools, whole and streamed', async () => {
    const call = text('Hm.\n<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>');
    const ask = (stream: boolean): Promise<Response> => {
      const request = parseChat({ ...MIN, stream, tools: [{ function: { name: 'f' } }] });
      return respond(request, partsOf(START, call, finish(), USAGE), { model: 'm', reason: 'local-first' });
    };
    const body = await (await ask(false)).json();
    expect(body).toHaveProperty('choices[0].message.tool_calls');
    expect(describes('VisionChatResponse', body), ajv.errorsText()).toBe(true);
    const events = (await (await ask(true)).text()).split('\n\n').slice(0, -2);
    expect(events.join('')).toContain('tool_calls');
    for (const event of events) expect(describes('VisionChatChunk', JSON.parse(event.slice(6))), event).toBe(true);
  });

  it('the models, and the health probes', async () => {
    expect(describes('ModelList', await listModels(['m', 'n']).json()), ajv.errorsText()).toBe(true);
    expect(describes('Model', await getModel(['m'], 'm').json()), ajv.errorsText()).toBe(true);
    expect(describes('Health', await health('ready').json()), ajv.errorsText()).toBe(true);
  });

  it.each(Object.keys(ERRORS) as ErrorCode[])('the error %s', async (code) => {
    const body: unknown = await errorResponse(new NearsightError(code, 'x')).json();
    expect(describes('Error', body), ajv.errorsText()).toBe(true);
  });
});

it("contains NIM's published vision schema", () => {
  const image = { type: 'image_url', image_url: { url: 'https://a.example/b.png' } };
  const content = [{ type: 'text', text: 'What?' }, image];
  const request = {
    model: 'm',
    messages: [{ role: 'user', content }],
    max_tokens: 512,
    temperature: 0.2,
    stream: false,
  };
  expect(describes('VisionChatRequest', request)).toBe(true);
  const yaml = openapi();
  for (const word of ['/v1/chat/completions', 'VisionChatResponse', '"400"', '"401"', '"413"', 'scheme: bearer']) {
    expect(yaml).toContain(word);
  }
  for (const server of ['https://integrate.api.nvidia.com', 'http://localhost:8000']) expect(yaml).toContain(server);
});

it('docs/openapi.yaml is up to date', async () => {
  await expect(openapi()).toMatchFileSnapshot('../../../docs/openapi.yaml');
});
