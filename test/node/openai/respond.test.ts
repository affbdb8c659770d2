/** The responses that are written from an answer's parts. The parts are written by hand (see job-parts.ts). */
import { describe, expect, it } from 'vitest';
import { errorResponse } from '../../../src/openai/error-response.ts';
import { parseChat, type ChatRequest } from '../../../src/openai/parse-request.ts';
import { respond } from '../../../src/openai/respond.ts';
import type { ChatCompletion, ChatCompletionChunk } from '../../../src/openai/types.ts';
import { ERRORS, NearsightError, type ErrorCode } from '../../../src/protocol/errors.ts';
import type { Part, TokenLogprob } from '../../../src/protocol/job.ts';
import { ANSWER, failingAfter, finish, partsOf, slowParts, START, text, USAGE } from '../job-parts.ts';

/** Codes of temporary errors. */
const RETRIED: readonly string[] = [
  'rate_limited',
  'queue_full',
  'worker_crashed',
  'device_lost',
  'gpu_error',
  'load_failed',
  'remote_unavailable',
];
const MESSAGES: { role: 'user'; content: string }[] = [{ role: 'user', content: 'What is this?' }];
const LOGPROB: TokenLogprob = {
  token: ' ca',
  logprob: -0.5,
  bytes: [32, 99, 97],
  top: [{ token: ' ca', logprob: -0.5, bytes: [32, 99, 97] }],
};

function ask(fields: object = {}): ChatRequest {
  return parseChat({ model: 'asked-for', messages: MESSAGES, ...fields });
}

function answer(request: ChatRequest, ...parts: readonly Part[]): Promise<Response> {
  return respond(request, partsOf(...parts), { model: 'glimpse', reason: 'local-first' });
}

async function events(response: Response): Promise<string[]> {
  const body = await response.text();
  expect(body.endsWith('\n\n')).toBe(true);
  return body
    .slice(0, -2)
    .split('\n\n')
    .map((event) => event.replace(/^data: /, ''));
}

async function chunks(response: Response): Promise<ChatCompletionChunk[]> {
  const data = await events(response);
  expect(data.pop()).toBe('[DONE]');
  return data.map((event) => JSON.parse(event) as ChatCompletionChunk);
}

describe('a JSON body', () => {
  it('has every field that a strict client reads', async () => {
    const before = Math.floor(Date.now() / 1000);
    const response = await answer(ask(), ...ANSWER);
    expect(response).toMatchObject({ status: 200, statusText: 'OK' });
    const headers = Object.fromEntries(response.headers);
    expect(headers).toMatchObject({
      'content-type': expect.stringMatching(/^application\/json/),
      'x-request-id': expect.stringMatching(/^[0-9a-f]{32}$/),
      'x-nearsight-origin': 'local',
      'x-nearsight-model': 'glimpse',
      'x-nearsight-reason': 'local-first',
    });
    const body = (await response.json()) as ChatCompletion;
    expect(body).toEqual({
      id: `chatcmpl-${headers['x-request-id']}`,
      object: 'chat.completion',
      created: expect.any(Number),
      model: 'asked-for',
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: 'A red cat.', refusal: null },
          logprobs: null,
          finish_reason: 'stop',
        },
      ],
      usage: {
        prompt_tokens: 70,
        completion_tokens: 3,
        total_tokens: 73,
        prompt_tokens_details: { cached_tokens: 12 },
      },
    });
    expect(body.created - before).toBeOneOf([0, 1, 2]);
    expect(Number.isInteger(body.created)).toBe(true);
  });

  it('separates choices whose parts are interleaved', async () => {
    const parts = [START, text('a', 0), text('b', 1), text('A', 0), finish(1, 'length'), finish(0), USAGE];
    const { choices } = (await (await answer(ask({ n: 2 }), ...parts)).json()) as ChatCompletion;
    expect(choices.map((choice) => [choice.index, choice.message.content, choice.finish_reason])).toEqual([
      [0, 'aA', 'stop'],
      [1, 'b', 'length'],
    ]);
  });

  it('has log probabilities if they were requested', async () => {
    const parts = [START, text('', 0, [LOGPROB]), text(' cat', 0, [LOGPROB]), finish(), USAGE];
    const body = (await (await answer(ask({ logprobs: true, top_logprobs: 1 }), ...parts)).json()) as ChatCompletion;
    const { top, ...rest } = LOGPROB;
    const entry = { ...rest, top_logprobs: top };
    expect(body.choices[0]?.logprobs).toEqual({ content: [entry, entry], refusal: null });
  });

  it('has token ids if they were requested', async () => {
    const parts = [
      { ...START, promptIds: [9, 8] },
      { ...text('A'), ids: [5] },
      { ...text(''), ids: [6, 7] },
      finish(),
      USAGE,
    ];
    const body = (await (await answer(ask({ return_token_ids: true }), ...parts)).json()) as ChatCompletion;
    expect(body).toMatchObject({ prompt_token_ids: [9, 8], choices: [{ token_ids: [5, 6, 7] }] });
  });

  it.each([
    ['no finish', [START, text('A'), USAGE]],
    ['no usage', [START, text('A'), finish()]],
    ['no finish of the second choice', [START, finish(), finish(0), USAGE]],
    ['nothing', []],
  ])('is not made from an answer with %s', async (_what, parts) => {
    await expect(answer(ask({ n: 2 }), ...parts)).rejects.toMatchObject({ code: 'internal' });
  });

  it('is not made from an answer that failed after its first text', async () => {
    const failing = failingAfter(START, text('A red'));
    await expect(respond(ask(), failing, { model: 'm', reason: 'local-first' })).rejects.toMatchObject({
      code: 'gpu_error',
    });
  });
});

describe('an event stream', () => {
  it('is a role, texts, a finish and [DONE], all with one id', async () => {
    const response = await answer(ask({ stream: true }), ...ANSWER);
    expect(response.headers.get('content-type')).toBe('text/event-stream');
    const sent = await chunks(response);
    const id = `chatcmpl-${response.headers.get('x-request-id')}`;
    for (const chunk of sent) {
      expect(chunk).toMatchObject({ id, object: 'chat.completion.chunk', model: 'asked-for' });
      expect(chunk).not.toHaveProperty('usage');
    }
    expect(sent.map(({ choices }) => choices)).toEqual([
      [{ index: 0, delta: { role: 'assistant', content: '' }, logprobs: null, finish_reason: null }],
      [{ index: 0, delta: { content: 'A red' }, logprobs: null, finish_reason: null }],
      [{ index: 0, delta: { content: ' ca' }, logprobs: null, finish_reason: null }],
      [{ index: 0, delta: { content: 't.' }, logprobs: null, finish_reason: null }],
      [{ index: 0, delta: {}, logprobs: null, finish_reason: 'stop' }],
    ]);
  });

  it('ends with the usage if it was requested, and has null in the chunks before', async () => {
    const sent = await chunks(await answer(ask({ stream: true, stream_options: { include_usage: true } }), ...ANSWER));
    const last = sent.pop();
    expect(last).toMatchObject({ choices: [], usage: { prompt_tokens: 70, completion_tokens: 3, total_tokens: 73 } });
    for (const chunk of sent) expect(chunk.usage).toBeNull();
  });

  it('has a role and a finish even for an empty answer, and no empty texts', async () => {
    const sent = await chunks(await answer(ask({ stream: true }), START, text(''), finish(0, 'length'), USAGE));
    expect(sent.map(({ choices }) => choices[0]?.finish_reason)).toEqual([null, 'length']);
  });

  it('has a role and a finish for each choice', async () => {
    const parts = [START, text('a', 0), text('b', 1), finish(1), finish(0), USAGE];
    const sent = await chunks(await answer(ask({ stream: true, n: 2 }), ...parts));
    const roles = sent.filter(({ choices }) => choices[0]?.delta.role).map(({ choices }) => choices[0]?.index);
    const ends = sent.filter(({ choices }) => choices[0]?.finish_reason).map(({ choices }) => choices[0]?.index);
    expect([roles, ends]).toEqual([
      [0, 1],
      [1, 0],
    ]);
  });

  it('has log probabilities with their text, and alone if a token has no text', async () => {
    const parts = [START, text('', 0, [LOGPROB]), text(' cat', 0, [LOGPROB]), finish(), USAGE];
    const sent = await chunks(await answer(ask({ stream: true, logprobs: true }), ...parts));
    expect(sent.map(({ choices }) => choices[0]?.logprobs?.content.length)).toEqual([undefined, 1, 1, undefined]);
  });

  it('has token ids, those of the prompt with each role, and those of tokens without text, too', async () => {
    const parts = [
      { ...START, promptIds: [9] },
      { ...text(''), ids: [5] },
      { ...text('A'), ids: [6] },
      finish(),
      USAGE,
    ];
    const sent = await chunks(await answer(ask({ stream: true, return_token_ids: true }), ...parts));
    expect(sent.map((chunk) => chunk.prompt_token_ids)).toEqual([[9], undefined, undefined, undefined]);
    expect(sent.map(({ choices }) => choices[0]?.token_ids)).toEqual([undefined, [5], [6], undefined]);
  });

  it('is bytes, one event per chunk, and reads a part only when asked', async () => {
    const { stream } = slowParts(START, text('x'));
    const response = await respond(ask({ stream: true }), stream, { model: 'm', reason: 'local-first' });
    const reader = response.body?.getReader();
    for (let i = 0; i < 3; i++) {
      const chunk = await reader?.read();
      expect(chunk?.value).toBeInstanceOf(Uint8Array);
      expect(new TextDecoder().decode(chunk?.value)).toMatch(/^data: \{.*\}\n\n$/);
    }
    await reader?.cancel();
  });

  it('resolves at the first text: a failure before it is an error, not a stream', async () => {
    const failing = failingAfter(START);
    const asked = respond(ask({ stream: true }), failing, { model: 'm', reason: 'local-first' });
    await expect(asked).rejects.toMatchObject({ code: 'gpu_error' });
    await expect(answer(ask({ stream: true }), START)).rejects.toMatchObject({ code: 'internal' });
  });

  it('ends with an error event, and neither a finish nor [DONE], when the answer breaks off', async () => {
    const response = await respond(ask({ stream: true }), failingAfter(START, text('A red')), {
      model: 'm',
      reason: 'local-first',
    });
    expect(response.status).toBe(200);
    const sent = await events(response);
    expect(sent).toHaveLength(3);
    expect(sent.join()).not.toContain('"stop"');
    expect(JSON.parse(sent[2] ?? '')).toEqual({
      error: { message: 'The GPU reported an error.', type: 'server_error', param: null, code: 'gpu_error' },
    });
    const cut = await events(await answer(ask({ stream: true }), START, text('A red')));
    expect(JSON.parse(cut.at(-1) ?? '')).toMatchObject({ error: { code: 'internal' } });
  });

  it('stops the answer when it is cancelled, even while it waits', async () => {
    const { stream, cancelled } = slowParts(START, text('x'));
    const response = await respond(ask({ stream: true }), stream, { model: 'm', reason: 'local-first' });
    const reader = response.body?.getReader();
    await reader?.read();
    await reader?.read();
    const pending = reader?.read();
    await reader?.cancel();
    expect(cancelled()).toBe(true);
    expect(await pending).toMatchObject({ done: true });
  });

  it('ignores a cancel after [DONE]', async () => {
    let cancelled = false;
    const parts = new ReadableStream<Part>({
      start(controller) {
        for (const part of ANSWER) controller.enqueue(part);
        controller.close();
      },
      cancel: () => void (cancelled = true),
    });
    const response = await respond(ask({ stream: true }), parts.getReader(), { model: 'm', reason: 'local-first' });
    const reader = response.body?.getReader();
    const decoder = new TextDecoder();
    let body = '';
    while (!body.endsWith('[DONE]\n\n')) body += decoder.decode((await reader?.read())?.value);
    await reader?.cancel();
    expect(cancelled).toBe(false);
  });
});

describe('an error', () => {
  it.each(Object.keys(ERRORS) as ErrorCode[])('%s is one envelope with its status', async (code) => {
    const response = errorResponse(new NearsightError(code, 'What happened.', { param: 'messages[0]' }));
    expect(response.status).toBe(ERRORS[code].status);
    expect(response.statusText).toMatch(/^[A-Z]/);
    expect(response.headers.get('x-request-id')).toMatch(/^[0-9a-f]{32}$/);
    expect(response.headers.get('x-nearsight-origin')).toBe('local');
    expect(response.headers.get('x-nearsight-reason')).toBe(code);
    const again = RETRIED.includes(code);
    expect(response.headers.get('x-should-retry')).toBe(String(again));
    expect(await response.json()).toEqual({
      error: {
        message: 'What happened.',
        type: expect.stringMatching(/^(invalid_request|authentication|permission|rate_limit|server)_error$/),
        param: 'messages[0]',
        code,
      },
    });
  });

  it('of any other kind is internal', async () => {
    const response = errorResponse(new TypeError('x is undefined'));
    expect(response.status).toBe(500);
    expect(await response.json()).toMatchObject({ error: { code: 'internal', param: null } });
  });

  it('has retry-after if the queue is full', () => {
    expect(Number(errorResponse(new NearsightError('queue_full', '')).headers.get('retry-after'))).toBeGreaterThan(0);
  });
});
