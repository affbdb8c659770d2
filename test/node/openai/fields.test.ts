/**
 * Sends each field of the table alone. An honoured field must change the parsed request, a harmless one must
 * change nothing, a refused one must be a 400 that names it. A new row without a sample fails.
 */
import { describe, expect, expectTypeOf, it } from 'vitest';
import type { REQUEST } from '../../../src/openai/fields.ts';
import { parseChat, type ChatRequest } from '../../../src/openai/parse-request.ts';
import type { Values } from '../../../src/openai/field-checks.ts';
import type { ChatCompletionRequest } from '../../../src/openai/types.ts';
import type { NearsightError } from '../../../src/protocol/errors.ts';
import { CASES, MIN, type Body } from './samples.ts';

describe.each(CASES)('%s', (_name, path, fields, samples, send) => {
  const rows = Object.entries(fields);

  it.each(rows.filter(([, row]) => row.support === 'honoured'))('honours %s', (name) => {
    const sample = samples[name];
    if (!sample) throw new Error(`No sample for ${path}${name}: a test must show that it is honoured.`);
    const without = send({ ...sample.with });
    const request = outcome(send({ ...sample.with, [name]: sample.value }));
    expect(request).toMatchObject(sample.sees);
    expect(request).not.toEqual(outcome(without));
  });

  it.each(rows.filter(([, row]) => row.support === 'honoured'))('refuses bad values of %s', (name) => {
    for (const bad of samples[name]?.bad ?? []) {
      const result = outcome(send({ ...samples[name]?.with, [name]: bad }));
      expect(result, JSON.stringify(bad)?.slice(0, 80)).toMatchObject({ code: 'invalid_request' });
      expect(result).toHaveProperty('param', expect.stringContaining(`${path}${name}`.replace(/\.type$/, '')));
    }
  });

  it.each(rows.filter(([, row]) => row.support === 'harmless'))('has the same result with %s', (name) => {
    for (const value of ['text', 1, true, [], {}]) expect(outcome(send({ [name]: value }))).toEqual(outcome(send({})));
  });

  it.each(rows.filter(([, row]) => row.support === 'refused'))('refuses %s', (name, row) => {
    const refused = outcome(send({ [name]: 'anything at all' }));
    expect(refused).toMatchObject({ code: 'unsupported_field', param: `${path}${name}`, status: 400 });
    const noopValues = row.support === 'refused' ? row.noopValues : [];
    for (const value of noopValues) expect(outcome(send({ [name]: value }))).toEqual(outcome(send({})));
  });

  it.each(rows)('treats null for %s as absent', (name) => {
    const body = send({});
    expect(outcome(send({ [name]: null }))).toEqual(outcome(deleteAt(body, path, name)));
  });

  it('refuses an unknown field by its name', () => {
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
    ['nvext.ignore_eos', { ignore_eos: false, nvext: { ignore_eos: true } }],
    ['min_tokens', { max_tokens: 5, min_tokens: 6 }],
    ['min_tokens', { max_completion_tokens: 1, min_tokens: 2 }],
    ['stream_options', { stream_options: { include_usage: true } }],
    ['stream_options', { stream: false, stream_options: {} }],
    ['top_logprobs', { top_logprobs: 2 }],
    ['top_logprobs', { logprobs: false, top_logprobs: 2 }],
  ])('%s is refused where it contradicts another', (param, fields) => {
    expect(outcome({ ...MIN, ...fields })).toMatchObject({ code: 'invalid_request', param });
  });

  it('may have the same value twice', () => {
    expect(outcome({ ...MIN, max_tokens: 5, max_completion_tokens: 5 })).toMatchObject({ job: { maxTokens: 5 } });
    expect(outcome({ ...MIN, max_tokens: 5, min_tokens: 5 })).toMatchObject({ job: { rules: { minTokens: 5 } } });
    expect(outcome({ ...MIN, ignore_eos: true, nvext: { ignore_eos: true } })).toMatchObject({
      job: { rules: { ignoreEos: true } },
    });
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
        rules: {
          allowed: undefined,
          badWords: [],
          minTokens: 0,
          ignoreEos: false,
          stopIds: [],
          includeStop: false,
        },
        choices: 1,
        constraint: undefined,
        topLogprobs: undefined,
        tokenIds: false,
        specialTokens: false,
        cache: true,
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
  expectTypeOf<keyof ChatCompletionRequest>().toEqualTypeOf<keyof Values<typeof REQUEST>>();
});

/** The parsed request, or the error. */
function outcome(body: unknown): ChatRequest | NearsightError {
  try {
    return parseChat(body);
  } catch (error) {
    return error as NearsightError;
  }
}

/** The same body without one field: `path` leads to the object that has it. */
function deleteAt(body: Body, path: string, name: string): Body {
  const copy = structuredClone(body);
  const steps = path.match(/[a-z_]+|\d+/g) ?? [];
  const owner = steps.reduce<unknown>((at, step) => (at as Body)[step], copy) as Body;
  delete owner[name];
  return copy;
}
