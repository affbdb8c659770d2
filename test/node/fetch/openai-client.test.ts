/** The real `openai` package with our fetch. The parts are written by hand (see job-parts.ts). */
import OpenAI, { APIError } from 'openai';
import { describe, expect, it } from 'vitest';
import { race } from '../../../src/async/race.ts';
import { createFetch } from '../../../src/fetch/intercept.ts';
import { ERRORS } from '../../../src/protocol/errors.ts';
import type { ChatJob, Part } from '../../../src/protocol/job.ts';
import type { PartReader } from '../../../src/protocol/port.ts';
import { ANSWER, engineOf, failingAfter, finish, partsOf, slowParts, START, text, USAGE } from '../job-parts.ts';

const MESSAGES: { role: 'user'; content: string }[] = [{ role: 'user', content: 'What is this?' }];

/** A client whose requests are answered with these parts, and the jobs that it asked for. */
function clientFor(generate: (signal?: AbortSignal) => PartReader<Part>): { openai: OpenAI; jobs: ChatJob[] } {
  const jobs: ChatJob[] = [];
  const fetch = createFetch({
    intercept: ['https://integrate.api.nvidia.com'],
    model: async () => 'glimpse',
    limits: { requestBytes: 1e6, imageBytes: 1e6, images: 3, pixels: 1e6 },
    engine: engineOf((job, signal) => {
      jobs.push(job);
      return generate(signal);
    }),
  });
  const baseURL = 'https://integrate.api.nvidia.com/v1';
  return { openai: new OpenAI({ baseURL, apiKey: 'local', fetch, maxRetries: 2 }), jobs };
}

describe('the openai package', () => {
  it('reads a JSON answer', async () => {
    const { openai } = clientFor(() => partsOf(...ANSWER));
    const { data, request_id } = await openai.chat.completions
      .create({ model: 'glimpse', messages: MESSAGES })
      .withResponse();
    expect(data.choices[0]?.message.content).toBe('A red cat.');
    expect(data.usage?.prompt_tokens_details?.cached_tokens).toBe(12);
    expect(data.id).toBe(`chatcmpl-${request_id}`);
  });

  it('reads a streamed answer', async () => {
    const { openai } = clientFor(() => partsOf(...ANSWER));
    const stream = await openai.chat.completions.create({
      model: 'glimpse',
      messages: MESSAGES,
      stream: true,
      stream_options: { include_usage: true },
    });
    let content = '';
    let usage;
    for await (const chunk of stream) {
      content += chunk.choices[0]?.delta.content ?? '';
      usage = chunk.usage ?? usage;
    }
    expect(content).toBe('A red cat.');
    expect(usage?.total_tokens).toBe(73);
  });

  it('parses an answer that has a schema', async () => {
    const { openai, jobs } = clientFor(() => partsOf(START, text('{"a": 1}'), finish(), USAGE));
    const schema = { type: 'object', properties: { a: { type: 'integer' } } };
    const json_schema = { name: 'x', strict: true, schema };
    const { choices } = await openai.chat.completions.parse({
      model: 'glimpse',
      messages: MESSAGES,
      response_format: { type: 'json_schema', json_schema },
    });
    expect(choices[0]?.message.content).toBe('{"a": 1}');
    expect(jobs[0]?.constraint).toEqual({ type: 'json', schema, param: 'response_format.json_schema.schema' });
  });

  it('assembles a stream with its .stream() helper', async () => {
    const { openai } = clientFor(() => partsOf(...ANSWER));
    const stream = openai.chat.completions.stream({ model: 'glimpse', messages: MESSAGES, logprobs: true });
    const completion = await stream.finalChatCompletion();
    expect(completion.choices[0]).toMatchObject({ finish_reason: 'stop', message: { content: 'A red cat.' } });
  });

  it('lists the models', async () => {
    const { openai } = clientFor(() => partsOf());
    const ids = [];
    for await (const model of openai.models.list()) ids.push(model.id);
    expect(ids).toEqual(['glimpse']);
    expect(await openai.models.retrieve('glimpse')).toMatchObject({ id: 'glimpse', object: 'model' });
    await expect(openai.models.retrieve('a/b')).rejects.toMatchObject({ status: 404, code: 'model_not_found' });
  });

  it('throws its own error classes, and does not retry permanent errors', async () => {
    const { openai, jobs } = clientFor(() => failingAfter('integrity'));
    const create = openai.chat.completions.create({ model: 'glimpse', messages: MESSAGES });
    await expect(create).rejects.toMatchObject({ status: 503, code: 'integrity', type: 'server_error' });
    expect(jobs).toHaveLength(1);
    const wrong = openai.chat.completions.create({ model: 'other', messages: MESSAGES });
    await expect(wrong).rejects.toBeInstanceOf(OpenAI.NotFoundError);
    const bad = openai.chat.completions.create({ model: 'glimpse', messages: [] });
    await expect(bad).rejects.toMatchObject({ constructor: OpenAI.BadRequestError, param: 'messages' });
  });

  it('retries temporary errors', async () => {
    let attempts = 0;
    const { openai } = clientFor(() => (++attempts < 2 ? failingAfter('worker_crashed') : partsOf(...ANSWER)));
    const completion = await openai.chat.completions.create({ model: 'glimpse', messages: MESSAGES });
    expect([attempts, completion.choices[0]?.message.content]).toEqual([2, 'A red cat.']);
  });

  it('throws when a stream breaks off', async () => {
    const { openai } = clientFor(() => failingAfter(START, text('A red')));
    const stream = await openai.chat.completions.create({ model: 'glimpse', messages: MESSAGES, stream: true });
    let content = '';
    const read = (async () => {
      for await (const chunk of stream) content += chunk.choices[0]?.delta.content ?? '';
    })();
    await expect(read).rejects.toBeInstanceOf(APIError);
    expect(content).toBe('A red');
  });

  it('stops the answer when the caller leaves the loop', async () => {
    const { stream: parts, cancelled } = slowParts(START, text('x'));
    const { openai } = clientFor(() => parts);
    const stream = await openai.chat.completions.create({ model: 'glimpse', messages: MESSAGES, stream: true });
    for await (const chunk of stream) if (chunk.choices[0]?.delta.content) break;
    await expect.poll(cancelled).toBe(true);
  });

  it.each([
    ['invalid_request', OpenAI.BadRequestError, 1],
    ['request_too_large', APIError, 1],
    ['queue_full', OpenAI.RateLimitError, 2],
    ['gpu_error', OpenAI.InternalServerError, 2],
    ['unsupported_device', OpenAI.InternalServerError, 1],
  ] as const)('%s: throws its own class, and retries only if that can help', async (code, kind, attempts) => {
    const { openai, jobs } = clientFor(() => failingAfter(code));
    const create = openai.chat.completions.create({ model: 'glimpse', messages: MESSAGES }, { maxRetries: 1 });
    const error: unknown = await create.catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(kind);
    expect(error).toMatchObject({ status: ERRORS[code].status, code });
    expect(jobs).toHaveLength(attempts);
  });

  it('rejects when the caller aborts', async () => {
    const caller = new AbortController();
    const { openai, jobs } = clientFor((signal) => {
      setTimeout(() => caller.abort());
      return waiting(signal);
    });
    const create = openai.chat.completions.create({ model: 'glimpse', messages: MESSAGES }, { signal: caller.signal });
    await expect(create).rejects.toBeInstanceOf(OpenAI.APIUserAbortError);
    expect(jobs).toHaveLength(1);
  });

  it('rejects after its time-out', async () => {
    const { openai } = clientFor(waiting);
    const options = { timeout: 20, maxRetries: 0 };
    const create = openai.chat.completions.create({ model: 'glimpse', messages: MESSAGES }, options);
    await expect(create).rejects.toBeInstanceOf(OpenAI.APIConnectionTimeoutError);
  });
});

/** An answer that never begins, and errors with the signal's reason when that aborts. */
function waiting(signal?: AbortSignal): PartReader<Part> {
  return { read: () => race(new Promise(() => {}), signal), cancel: async () => {} };
}
