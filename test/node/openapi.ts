/**
 * Writes docs/openapi.yaml: the paths by hand, the request from the table of fields, its prose from docs/api.md's source.
 * The schemas of values are written down here, and proved against the parser in openapi.test.ts.
 */
import { stringify } from 'yaml';
import type { Fields, Values } from '../../src/api/check.ts';
import type * as tables from '../../src/api/fields.ts';
import { ERRORS } from '../../src/wire/error.ts';
import { commentOf, SECTIONS, type TableName } from './api-doc.ts';

type Schema = Record<string, unknown>;
type Schemas<F extends Fields> = Record<keyof Values<F> & string, Schema>;

const string = { type: 'string' };
const boolean = { type: 'boolean' };
const ref = (name: string): Schema => ({ $ref: `#/components/schemas/${name}` });
const range = (minimum: number, maximum: number): Schema => ({ type: 'number', minimum, maximum });
const above = (exclusiveMinimum: number, maximum: number): Schema => ({ type: 'number', exclusiveMinimum, maximum });
const whole = (minimum: number, maximum = Number.MAX_SAFE_INTEGER): Schema => ({ type: 'integer', minimum, maximum });
const list = (items: Schema, minItems: number, maxItems: number): Schema => ({
  type: 'array',
  items,
  minItems,
  maxItems,
});

const REQUEST: Schemas<typeof tables.REQUEST> = {
  model: { type: 'string', minLength: 1 },
  messages: list(ref('Message'), 1, 1024),
  max_tokens: whole(1),
  max_completion_tokens: whole(1),
  temperature: range(0, 2),
  top_p: above(0, 1),
  top_k: whole(-1),
  min_p: range(0, 1),
  seed: whole(-(2 ** 63), 2 ** 63),
  stop: { anyOf: [{ type: 'string', minLength: 1 }, list({ type: 'string', minLength: 1 }, 0, 16)] },
  n: whole(1, 128),
  frequency_penalty: range(-2, 2),
  presence_penalty: range(-2, 2),
  repetition_penalty: above(0, 2),
  logit_bias: {
    type: 'object',
    propertyNames: { pattern: '^\\d{1,9}$' },
    additionalProperties: range(-100, 100),
  },
  logprobs: boolean,
  top_logprobs: whole(0, 20),
  stream: boolean,
  stream_options: ref('StreamOptions'),
  response_format: ref('ResponseFormat'),
  nvext: ref('NVExt'),
  cache: boolean,
};
const STREAM_OPTIONS: Schemas<typeof tables.STREAM_OPTIONS> = { include_usage: boolean };
const RESPONSE_FORMAT: Schemas<typeof tables.RESPONSE_FORMAT> = { type: { const: 'text' } };
const NVEXT: Schemas<typeof tables.NVEXT> = { top_k: whole(-1), repetition_penalty: above(0, 2) };
const MESSAGE: Schemas<typeof tables.MESSAGE> = {
  role: { enum: ['system', 'developer', 'user', 'assistant'] },
  content: {
    anyOf: [
      { type: 'string' },
      { type: 'array', items: { anyOf: [string, ref('TextPart'), ref('ImagePart'), ref('RefusalPart')] } },
    ],
  },
  refusal: string,
};
const TEXT_PART: Schemas<typeof tables.TEXT_PART> = {
  type: { enum: ['text', 'input_text', 'output_text'] },
  text: string,
};
const REFUSAL_PART: Schemas<typeof tables.REFUSAL_PART> = { type: { const: 'refusal' }, refusal: string };
const DETAIL = { enum: ['low', 'high', 'auto'] };
const IMAGE_PART: Schemas<typeof tables.IMAGE_PART> = {
  type: { enum: ['image_url', 'input_image'] },
  image_url: { anyOf: [{ type: 'string', format: 'uri' }, ref('ImageURL')] },
  detail: DETAIL,
};
const IMAGE_URL: Schemas<typeof tables.IMAGE_URL> = { url: { type: 'string', format: 'uri' }, detail: DETAIL };

/** An object of the table: what is refused may still be sent with a value that asks for nothing. */
function objectOf(table: TableName, schemas: Record<string, Schema>, required: string[]): Schema {
  const fields: Fields = SECTIONS[table];
  const properties = Object.entries(fields).flatMap(([name, field]): [string, Schema][] => {
    const description = commentOf(table, name);
    if (field.fate === 'harmless') return [[name, { description: `No effect here. ${description}` }]];
    if (field.fate === 'honoured') return [[name, optional(schemas[name] ?? {}, description, required.includes(name))]];
    return [[name, { description: `Refused: ${field.why}.`, enum: [null, ...field.inert] }]];
  });
  return { type: 'object', properties: Object.fromEntries(properties), required, additionalProperties: false };
}

function optional(schema: Schema, description: string, required: boolean): Schema {
  return { description, ...(required ? schema : { anyOf: [schema, { type: 'null' }] }) };
}

const USAGE = {
  type: 'object',
  properties: {
    prompt_tokens: whole(0),
    completion_tokens: whole(0),
    total_tokens: whole(0),
    prompt_tokens_details: { type: 'object', properties: { cached_tokens: whole(0) }, required: ['cached_tokens'] },
  },
  required: ['prompt_tokens', 'completion_tokens', 'total_tokens'],
};

const LOGPROB = {
  type: 'object',
  properties: { token: string, logprob: { type: 'number' }, bytes: { type: 'array', items: whole(0, 255) } },
  required: ['token', 'logprob', 'bytes'],
};

const LOGPROBS = {
  type: ['object', 'null'],
  properties: {
    content: {
      type: 'array',
      items: {
        allOf: [ref('Logprob')],
        properties: { top_logprobs: { type: 'array', items: ref('Logprob') } },
        required: ['top_logprobs'],
      },
    },
    refusal: { type: 'null' },
  },
  required: ['content', 'refusal'],
};

const answerOf = (kind: string, choice: Schema, more: Schema, required: string[]): Schema => ({
  type: 'object',
  properties: {
    id: { type: 'string', pattern: '^chatcmpl-' },
    object: { const: kind },
    created: { type: 'integer', description: 'Unix time, in seconds.' },
    model: string,
    choices: { type: 'array', items: { type: 'object', properties: choice, required: Object.keys(choice) } },
    ...more,
  },
  required: ['id', 'object', 'created', 'model', 'choices', ...required],
});

const REASON = { enum: ['stop', 'length'] };

const RESPONSE = answerOf(
  'chat.completion',
  {
    index: whole(0),
    message: {
      type: 'object',
      properties: { role: { const: 'assistant' }, content: string, refusal: { type: 'null' } },
      required: ['role', 'content', 'refusal'],
    },
    logprobs: ref('Logprobs'),
    finish_reason: REASON,
  },
  { usage: ref('Usage') },
  ['usage'],
);

const CHUNK = answerOf(
  'chat.completion.chunk',
  {
    index: whole(0),
    delta: { type: 'object', properties: { role: { const: 'assistant' }, content: string } },
    logprobs: ref('Logprobs'),
    finish_reason: { anyOf: [REASON, { type: 'null' }] },
  },
  { usage: { anyOf: [ref('Usage'), { type: 'null' }] } },
  [],
);

const ERROR = {
  type: 'object',
  properties: {
    error: {
      type: 'object',
      properties: {
        message: string,
        type: { type: 'string', pattern: '_error$' },
        param: { type: ['string', 'null'] },
        code: string,
      },
      required: ['message', 'type', 'param', 'code'],
    },
  },
  required: ['error'],
};

export const SCHEMAS: Record<string, Schema> = {
  VisionChatRequest: objectOf('REQUEST', REQUEST, ['model', 'messages']),
  StreamOptions: objectOf('STREAM_OPTIONS', STREAM_OPTIONS, []),
  ResponseFormat: objectOf('RESPONSE_FORMAT', RESPONSE_FORMAT, []),
  NVExt: objectOf('NVEXT', NVEXT, []),
  Message: objectOf('MESSAGE', MESSAGE, ['role']),
  TextPart: objectOf('TEXT_PART', TEXT_PART, ['text']),
  RefusalPart: objectOf('REFUSAL_PART', REFUSAL_PART, ['refusal']),
  ImagePart: objectOf('IMAGE_PART', IMAGE_PART, ['image_url']),
  ImageURL: objectOf('IMAGE_URL', IMAGE_URL, ['url']),
  VisionChatResponse: RESPONSE,
  VisionChatChunk: CHUNK,
  Logprobs: LOGPROBS,
  Logprob: LOGPROB,
  Usage: USAGE,
  Error: ERROR,
};

const json = (name: string): Schema => ({ 'application/json': { schema: ref(name) } });

/** One entry for each status, with the codes that have it. */
function failures(): Record<string, Schema> {
  const statuses = [...new Set(Object.values(ERRORS).map(({ status }) => status))].filter((status) => status !== 499);
  return Object.fromEntries(
    statuses
      .toSorted((one, other) => one - other)
      .map((status) => {
        const codes = Object.entries(ERRORS).filter(([, traits]) => traits.status === status);
        return [String(status), { description: codes.map(([code]) => code).join(', '), content: json('Error') }];
      }),
  );
}

/** The description, as YAML. */
export function openapi(): string {
  const model = {
    type: 'object',
    properties: { id: string, object: { const: 'model' }, created: whole(0), owned_by: string },
  };
  const get = (summary: string, schema: Schema): Schema => ({
    get: { summary, responses: { '200': { description: 'OK', content: { 'application/json': { schema } } } } },
  });
  const health = { type: 'object', properties: { object: { const: 'health.response' }, message: string } };
  const document = {
    openapi: '3.1.0',
    info: {
      title: 'nearsight',
      version: '1',
      summary: 'The vision-chat endpoint that nearsight answers inside the browser.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: 'https://integrate.api.nvidia.com' }, { url: 'http://localhost:8000' }],
    security: [{ bearer: [] }],
    paths: {
      '/v1/chat/completions': {
        post: {
          summary: 'Ask about pictures',
          requestBody: { required: true, content: json('VisionChatRequest') },
          responses: {
            '200': {
              description: 'The answer, whole or as server-sent events that end with `data: [DONE]`.',
              content: { ...json('VisionChatResponse'), 'text/event-stream': { schema: ref('VisionChatChunk') } },
            },
            ...failures(),
          },
        },
      },
      '/v1/models': get('What is served', {
        type: 'object',
        properties: { object: { const: 'list' }, data: { type: 'array', items: model } },
      }),
      '/v1/health/ready': get('Whether requests are taken', health),
      '/v1/health/live': get('Whether anybody is there', health),
    },
    components: {
      securitySchemes: {
        bearer: {
          type: 'http',
          scheme: 'bearer',
          description: 'Not looked at in the page; a remote asks for its own.',
        },
      },
      schemas: SCHEMAS,
    },
  };
  const note = '# Generated: run `npx vitest run --project node test/node/openapi -u`.\n';
  return note + stringify(document, { lineWidth: 120, aliasDuplicateObjects: false });
}
