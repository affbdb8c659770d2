/**
 * The AI SDK and LangChain, unmodified, given the shim as their fetch: answered here (from parts made by hand, see
 * parts.ts), by the remote (the NIM stand-in), and with every kind of failure. `openai` has a file of its own.
 */
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { HumanMessage } from '@langchain/core/messages';
import { ChatOpenAI } from '@langchain/openai';
import { APICallError, generateText, RetryError, streamText } from 'ai';
import { describe, expect, it } from 'vitest';
import type { ShimOptions } from '../../src/shim.ts';
import { ERROR_STATUS, NearsightError, type ErrorCode } from '../../src/wire/error.ts';
import type { Part } from '../../src/wire/job.ts';
import { ANSWER, failingAfter, partsOf, slowParts, START, text } from './parts.ts';
import { OWNED, PNG, wired } from './wired.ts';

type Fetch = typeof fetch;

/** One code for each status that SDKs treat in their own way, and whether it may pass. */
const FAILURES = [
  ['invalid_request', false],
  ['request_too_large', false],
  ['queue_full', true],
  ['gpu_error', true],
  ['load_failed', true],
] as const satisfies readonly (readonly [ErrorCode, boolean])[];

/** An answerer that fails at first, and how often it was asked. */
function failingFirst(code: ErrorCode, times: number): { generate: ShimOptions['generate']; asked: () => number } {
  let asked = 0;
  const generate = async (): Promise<ReadableStream<Part>> => {
    if (asked++ < times) throw new NearsightError(code, `This is ${code}.`);
    return partsOf(...ANSWER);
  };
  return { generate, asked: () => asked };
}

async function local(generate: ShimOptions['generate']): Promise<Fetch> {
  return (await wired({ generate, policy: 'local-only' })).fetch;
}

describe('the AI SDK', () => {
  const model = (fetch: Fetch, name = 'glimpse'): ReturnType<ReturnType<typeof createOpenAICompatible>> =>
    createOpenAICompatible({ name: 'nearsight', baseURL: OWNED, fetch, includeUsage: true })(name);

  it.each([
    ['here', 'glimpse', 'A red cat.', 73],
    ['by the remote', 'meta/llama', 'From afar.', 1037],
  ])('is answered %s', async (_where, name, said, tokens) => {
    const { fetch } = await wired();
    const prompt = [
      {
        role: 'user' as const,
        content: [
          { type: 'text' as const, text: 'What is this?' },
          { type: 'file' as const, data: PNG, mediaType: 'image/png' },
        ],
      },
    ];
    const answer = await generateText({ model: model(fetch, name), messages: prompt });
    expect(answer.text).toBe(said);
    expect(answer.finishReason).toBe('stop');
    expect(answer.usage.totalTokens).toBe(tokens);
  });

  it.each([
    ['here', 'glimpse', 'A red cat.'],
    ['by the remote', 'stream/openai', 'A cat ✓.'],
  ])('is streamed to %s', async (_where, name, said) => {
    const { fetch } = await wired();
    const stream = streamText({ model: model(fetch, name), prompt: 'hi' });
    let read = '';
    for await (const piece of stream.textStream) read += piece;
    expect(read).toBe(said);
    expect(await stream.finishReason).toBe('stop');
  });

  it.each(FAILURES)('%s: throws its own error, and retries only what may pass', async (code, passes) => {
    const always = failingFirst(code, Infinity);
    const asked = generateText({ model: model(await local(always.generate)), prompt: 'hi', maxRetries: 0 });
    const error: unknown = await asked.catch((thrown: unknown) => thrown);
    expect(APICallError.isInstance(error)).toBe(true);
    expect(error).toMatchObject({
      statusCode: ERROR_STATUS[code],
      message: `This is ${code}.`,
      isRetryable: passes,
    });
  });

  it('is answered at the second attempt when the first failed for the moment', async () => {
    const { generate, asked } = failingFirst('queue_full', 1);
    const answer = await generateText({ model: model(await local(generate)), prompt: 'hi' });
    expect([answer.text, asked()]).toEqual(['A red cat.', 2]);
  });

  it('does not take a broken stream for an answer', async () => {
    const fetch = await local(async () => failingAfter(START, text('A red')));
    const errors: unknown[] = [];
    const stream = streamText({ model: model(fetch), prompt: 'hi', onError: ({ error }) => void errors.push(error) });
    let read = '';
    for await (const piece of stream.textStream) read += piece;
    expect(read).toBe('A red');
    expect(String(errors[0])).toContain('The GPU reported an error.');
  });

  it('stops the answer when it is aborted', async () => {
    const { stream: parts, cancelled } = slowParts(START, text('x'));
    const abort = new AbortController();
    const stream = streamText({
      model: model(await local(async (_request, signal) => endedBy(parts, signal))),
      prompt: 'hi',
      abortSignal: abort.signal,
    });
    for await (const piece of stream.textStream) if (piece) abort.abort();
    await expect.poll(cancelled).toBe(true);
  });

  it('tells a remote refusal from a retryable one', async () => {
    const { fetch } = await wired();
    const ask = (name: string): Promise<unknown> =>
      generateText({ model: model(fetch, name), prompt: 'hi', maxRetries: 0 }).catch((error: unknown) => error);
    expect(await ask('error/unauthorized')).toMatchObject({
      statusCode: 401,
      message: 'Authentication failed',
      isRetryable: false,
    });
    expect(await ask('error/too-many')).toMatchObject({ statusCode: 429, isRetryable: true });
    expect(RetryError.isInstance(await ask('error/busy'))).toBe(false);
  });
});

describe('LangChain', () => {
  const chat = (fetch: Fetch, model = 'glimpse', maxRetries = 0): ChatOpenAI =>
    new ChatOpenAI({ model, apiKey: 'local', maxRetries, configuration: { baseURL: OWNED, fetch } });
  const question = new HumanMessage({
    content: [
      { type: 'text', text: 'What is this?' },
      { type: 'image_url', image_url: { url: PNG } },
    ],
  });

  it.each([
    ['here', 'glimpse', 'A red cat.', 73],
    ['by the remote', 'meta/llama', 'From afar.', 1037],
  ])('is answered %s', async (_where, name, said, tokens) => {
    const { fetch } = await wired();
    const answer = await chat(fetch, name).invoke([question]);
    expect(answer.text).toBe(said);
    expect(answer).toMatchObject({ usage_metadata: { total_tokens: tokens } });
  });

  it.each([
    ['here', 'glimpse', 'A red cat.'],
    ['by the remote', 'stream/openai', 'A cat ✓.'],
  ])('is streamed to %s', async (_where, name, said) => {
    const { fetch } = await wired();
    let read = '';
    for await (const piece of await chat(fetch, name).stream([question])) read += piece.text;
    expect(read).toBe(said);
  });

  it.each(FAILURES)('%s: throws with its status, and retries only what may pass', async (code, passes) => {
    const first = failingFirst(code, 1);
    const retrying = chat(await local(first.generate), 'glimpse', 1).invoke('hi');
    if (passes) expect((await retrying).text).toBe('A red cat.');
    else await expect(retrying).rejects.toMatchObject({ status: ERROR_STATUS[code], code });
    expect(first.asked()).toBe(passes ? 2 : 1);
  });

  it('does not take a broken stream for an answer', async () => {
    const fetch = await local(async () => failingAfter(START, text('A red')));
    let read = '';
    const reading = (async () => {
      for await (const piece of await chat(fetch).stream('hi')) read += piece.text;
    })();
    await expect(reading).rejects.toThrow('The GPU reported an error.');
    expect(read).toBe('A red');
  });

  it('stops the answer when it is aborted', async () => {
    const { stream: parts, cancelled } = slowParts(START, text('x'));
    const abort = new AbortController();
    const fetch = await local(async (_request, signal) => endedBy(parts, signal));
    const reading = (async () => {
      for await (const piece of await chat(fetch).stream('hi', { signal: abort.signal })) if (piece.text) abort.abort();
    })();
    await expect(reading).rejects.toMatchObject({ name: 'AbortError' });
    await expect.poll(cancelled).toBe(true);
  });
});

/** Errors with the signal's reason when it aborts, and cancels its source, as the runtime's port does. */
function endedBy(parts: ReadableStream<Part>, signal?: AbortSignal): ReadableStream<Part> {
  const reader = parts.getReader();
  return new ReadableStream<Part>({
    start(controller) {
      signal?.addEventListener('abort', () => {
        controller.error(signal.reason);
        void reader.cancel();
      });
    },
    async pull(controller) {
      const { done, value } = await reader.read();
      if (!done && !signal?.aborted) controller.enqueue(value);
    },
    cancel: (reason) => reader.cancel(reason),
  });
}
