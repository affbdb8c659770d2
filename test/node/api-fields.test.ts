/**
 * Contract C1: sends each field of the table alone. An honoured one must be visible in what is asked of the runtime,
 * a harmless one must change nothing, a refused one must be a 400 that names it. A new row without a sample fails.
 */
import { describe, expect, expectTypeOf, it } from 'vitest';
import * as tables from '../../src/api/fields.ts';
import { parseChat, type ChatRequest } from '../../src/api/parse.ts';
import type { Fields, Values } from '../../src/api/check.ts';
import type { ChatCompletionRequest } from '../../src/api/types.ts';
import type { NearsightError } from '../../src/wire/error.ts';

type Body = Record<string, unknown>;

const PICTURE = 'data:image/png;base64,iVBORw0KGgo=';
const MIN: Body = { model: 'm', messages: [{ role: 'user', content: 'hi' }] };

/** A value of an honoured field: either what it changes in the request, or (for closed sets) how another is refused. */
type Sample = { value: unknown; sees: object; with?: Body; bad: unknown[] };

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
  stream: { value: true, sees: { stream: true }, bad: ['true', 1] },
  stream_options: {
    value: { include_usage: true },
    with: { stream: true },
    sees: { includeUsage: true },
    bad: [true, [], { include_usage: 1 }],
  },
  response_format: {
    value: { type: 'json_object' },
    sees: refusal('unsupported_field'),
    bad: ['text', [], { type: 1 }],
  },
  nvext: { value: { top_k: 4 }, sees: sampling({ topK: 4 }), bad: [1, [], { top_k: 'x' }] },
};

const STREAM_OPTIONS: Record<keyof Values<typeof tables.STREAM_OPTIONS>, Sample> = {
  include_usage: { value: true, sees: { includeUsage: true }, bad: ['true', 1] },
};

const RESPONSE_FORMAT: Record<keyof Values<typeof tables.RESPONSE_FORMAT>, Sample> = {
  type: { value: 'json_schema', sees: refusal('unsupported_field'), bad: ['xml', 1, {}] },
};

const NVEXT: Record<keyof Values<typeof tables.NVEXT>, Sample> = {
  top_k: { value: 4, sees: sampling({ topK: 4 }), bad: [-2, '4'] },
  repetition_penalty: { value: 1.1, sees: sampling({ repetitionPenalty: 1.1 }), bad: [0, 3, '1'] },
};

const MESSAGE: Record<keyof Values<typeof tables.MESSAGE>, Sample> = {
  role: { value: 'system', sees: { turns: [{ role: 'system' }] }, bad: ['robot', 1, {}] },
  content: { value: 'ho', sees: { turns: [{ parts: [{ text: 'ho' }] }] }, bad: ['', 7, {}, [], [7], [''], [{}]] },
  refusal: {
    value: 'no',
    with: { role: 'assistant', content: null },
    sees: { turns: [{ parts: [{ text: 'no' }] }] },
    bad: [7, {}],
  },
};

const TEXT_PART: Record<keyof Values<typeof tables.TEXT_PART>, Sample> = {
  type: { value: 'video_url', sees: refusal('unsupported_field'), bad: ['poem', 7, {}] },
  text: { value: 'ho', sees: { turns: [{ parts: [{ text: 'ho' }] }] }, bad: [7, {}] },
};

const REFUSAL_PART: Record<keyof Values<typeof tables.REFUSAL_PART>, Sample> = {
  type: { value: 'file', sees: refusal('unsupported_field'), bad: ['poem', 7, {}] },
  refusal: { value: 'ho', sees: { turns: [{ parts: [{ text: 'ho' }] }] }, bad: [7, {}] },
};

const IMAGE_PART: Record<keyof Values<typeof tables.IMAGE_PART>, Sample> = {
  type: { value: 'audio_url', sees: refusal('unsupported_field'), bad: ['poem', 7, {}] },
  image_url: { value: 'data:,other', sees: picture({ url: 'data:,other' }), bad: [7, {}, [], { url: 7 }] },
  detail: { value: 'low', with: { image_url: PICTURE }, sees: picture({ detail: 'low' }), bad: ['tiny', 7] },
};

const IMAGE_URL: Record<keyof Values<typeof tables.IMAGE_URL>, Sample> = {
  url: { value: 'data:,other', sees: picture({ url: 'data:,other' }), bad: [7, {}] },
  detail: { value: 'high', sees: picture({ detail: 'high' }), bad: ['tiny', 7] },
};

const inContent = (part: unknown, role = 'user'): Body => ({ model: 'm', messages: [{ role, content: [part] }] });

/** Each table with its samples, and how a field of it is sent alone. */
const CASES: [name: string, path: string, Fields, Record<string, Sample | undefined>, (field: Body) => Body][] = [
  ['the request', '', tables.REQUEST, REQUEST, (field) => ({ ...MIN, ...field })],
  ['stream_options', 'stream_options.', tables.STREAM_OPTIONS, STREAM_OPTIONS, inOptions],
  ['response_format', 'response_format.', tables.RESPONSE_FORMAT, RESPONSE_FORMAT, inFormat],
  ['nvext', 'nvext.', tables.NVEXT, NVEXT, (nvext) => ({ ...MIN, nvext })],
  ['a message', 'messages[0].', tables.MESSAGE, MESSAGE, inMessage],
  ['a text part', 'messages[0].content[0].', tables.TEXT_PART, TEXT_PART, inText],
  ['a refusal part', 'messages[0].content[0].', tables.REFUSAL_PART, REFUSAL_PART, inRefusal],
  ['an image part', 'messages[0].content[0].', tables.IMAGE_PART, IMAGE_PART, inImage],
  ['image_url', 'messages[0].content[0].image_url.', tables.IMAGE_URL, IMAGE_URL, inImageURL],
];

describe.each(CASES)('%s', (_name, path, fields, samples, send) => {
  const rows = Object.entries(fields);

  it.each(rows.filter(([, row]) => row.fate === 'honoured'))('honours %s', (name) => {
    const sample = samples[name];
    if (!sample) throw new Error(`No sample for ${path}${name}: a field that is honoured must be seen to be.`);
    const without = send({ ...sample.with });
    const request = outcome(send({ ...sample.with, [name]: sample.value }));
    expect(request).toMatchObject(sample.sees);
    expect(request).not.toEqual(outcome(without));
  });

  it.each(rows.filter(([, row]) => row.fate === 'honoured'))('refuses bad values of %s', (name) => {
    for (const bad of samples[name]?.bad ?? []) {
      const result = outcome(send({ ...samples[name]?.with, [name]: bad }));
      expect(result, JSON.stringify(bad)?.slice(0, 80)).toMatchObject({ code: 'invalid_request' });
      expect(result).toHaveProperty('param', expect.stringContaining(`${path}${name}`.replace(/\.type$/, '')));
    }
  });

  it.each(rows.filter(([, row]) => row.fate === 'harmless'))('is the same with %s', (name) => {
    for (const value of ['text', 1, true, [], {}]) expect(outcome(send({ [name]: value }))).toEqual(outcome(send({})));
  });

  it.each(rows.filter(([, row]) => row.fate === 'refused'))('refuses %s', (name, row) => {
    const refused = outcome(send({ [name]: 'anything at all' }));
    expect(refused).toMatchObject({ code: 'unsupported_field', param: `${path}${name}`, status: 400 });
    const inert = row.fate === 'refused' ? row.inert : [];
    for (const value of inert) expect(outcome(send({ [name]: value }))).toEqual(outcome(send({})));
  });

  it.each(rows)('takes null for %s as absent', (name) => {
    const body = send({});
    expect(outcome(send({ [name]: null }))).toEqual(outcome(deleteAt(body, path, name)));
  });

  it('refuses what is in no table, by its name', () => {
    for (const name of ['temprature', '__proto__', 'constructor', 'toString', '']) {
      const refused = outcome(send(JSON.parse(`{"${name}":1}`) as Body));
      expect(refused).toMatchObject({ code: 'invalid_request', param: `${path}${name}` });
    }
  });
});

describe('fields that depend on each other', () => {
  it.each([
    ['max_completion_tokens', { max_tokens: 5, max_completion_tokens: 6 }],
    ['nvext.top_k', { top_k: 5, nvext: { top_k: 6 } }],
    ['nvext.repetition_penalty', { repetition_penalty: 1, nvext: { repetition_penalty: 1.5 } }],
    ['stream_options', { stream_options: { include_usage: true } }],
    ['stream_options', { stream: false, stream_options: {} }],
    ['top_logprobs', { top_logprobs: 2 }],
    ['top_logprobs', { logprobs: false, top_logprobs: 2 }],
  ])('%s is refused where it contradicts another', (param, fields) => {
    expect(outcome({ ...MIN, ...fields })).toMatchObject({ code: 'invalid_request', param });
  });

  it('may say the same twice', () => {
    expect(outcome({ ...MIN, max_tokens: 5, max_completion_tokens: 5 })).toMatchObject({ job: { maxTokens: 5 } });
    expect(outcome({ ...MIN, top_logprobs: 0 })).toMatchObject({ job: { topLogprobs: undefined } });
    expect(outcome({ ...MIN, response_format: { type: 'text' } })).toEqual(outcome(MIN));
  });
});

describe('the body as a whole', () => {
  it('has defaults for everything but model and messages', () => {
    expect(parseChat(MIN)).toEqual({
      model: 'm',
      stream: false,
      includeUsage: false,
      turns: [{ role: 'user', parts: [{ type: 'text', text: 'hi' }] }],
      job: {
        maxTokens: undefined,
        stop: [],
        sampling: {
          temperature: 0,
          topP: 1,
          topK: 0,
          minP: 0,
          frequencyPenalty: 0,
          presencePenalty: 0,
          repetitionPenalty: 1,
          logitBias: [],
          seed: undefined,
        },
        choices: 1,
        topLogprobs: undefined,
      },
    } satisfies ChatRequest);
  });

  it('must be an object with a model and messages', () => {
    for (const body of [undefined, null, 7, 'x', [], true]) expect(outcome(body)).toMatchObject({ status: 400 });
    expect(outcome({ messages: MIN['messages'] })).toMatchObject({ param: 'model' });
    expect(outcome({ model: 'm' })).toMatchObject({ param: 'messages' });
  });

  it('never repeats a value, however large, and clips names', () => {
    const { message, param } = outcome({ ...MIN, ['x'.repeat(1e6)]: 1 }) as NearsightError;
    expect(message.length + (param ?? '').length).toBeLessThan(400);
    expect(outcome({ ...MIN, temperature: 'secret' })).toMatchObject({
      message: expect.not.stringContaining('secret'),
    });
  });
});

it('The exported request type has the honoured fields and no other', () => {
  expectTypeOf<keyof ChatCompletionRequest>().toEqualTypeOf<keyof Values<typeof tables.REQUEST>>();
});

/** What became of a body: the request, or the error. */
function outcome(body: unknown): ChatRequest | NearsightError {
  try {
    return parseChat(body);
  } catch (error) {
    return error as NearsightError;
  }
}

function sampling(sees: object): object {
  return { job: { sampling: sees } };
}

function picture(sees: object): object {
  return { turns: [{ parts: [{ type: 'picture', ...sees }] }] };
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

function inMessage(field: Body): Body {
  return { model: 'm', messages: [{ role: 'user', content: 'hi', ...field }] };
}

function inText(field: Body): Body {
  return inContent({ type: 'text', text: 'hi', ...field });
}

function inRefusal(field: Body): Body {
  return inContent({ type: 'refusal', refusal: 'hi', ...field }, 'assistant');
}

function inImage(field: Body): Body {
  return inContent({ type: 'image_url', image_url: { url: PICTURE }, ...field });
}

function inImageURL(field: Body): Body {
  return inContent({ type: 'image_url', image_url: { url: PICTURE, ...field } });
}

/** The same body without one field: `path` leads to the object that has it. */
function deleteAt(body: Body, path: string, name: string): Body {
  const copy = structuredClone(body);
  const steps = path.match(/[a-z_]+|\d+/g) ?? [];
  const owner = steps.reduce<unknown>((at, step) => (at as Body)[step], copy) as Body;
  delete owner[name];
  return copy;
}
