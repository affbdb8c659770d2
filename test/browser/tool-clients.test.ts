// @module-tag nightly-in-chromium
/**
 * The loops in which client libraries call tools, unmodified: glimpse calls one, the client runs it and sends its result,
 * and glimpse answers.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TestPage } from './harness/harness.ts';
import { openUnrestrictedPage } from './harness/remote-page.ts';
import type { Client } from './page/clients.ts';

const CLIENTS: Client[] = ['openai', 'the AI SDK', 'LangChain'];

let page: TestPage;

beforeAll(async () => {
  page = await openUnrestrictedPage();
});

afterAll(() => page[Symbol.asyncDispose]());

/** Runs in the page. */
async function callInPage(client: Client) {
  const { callThrough } = await loadToolClients();
  const near = remotePage.make({ policy: 'local-only' });
  type Body = { messages: { role: string }[]; tool_choice?: unknown };
  const sent: Body[] = [];
  // glimpse does not call tools by itself, and `runTools` asks for the same in each request.
  const fetch: typeof near.fetch = (url, init) => {
    const body = JSON.parse(init?.body as string) as Body;
    sent.push(body);
    const isAnswered = body.messages.some(({ role }) => role === 'tool');
    const choice = isAnswered ? {} : { tool_choice: 'required', parallel_tool_calls: false };
    return near.fetch(url, { ...init, body: JSON.stringify({ ...body, ...choice }) });
  };
  const question = { fetch, image: remotePage.image };
  const whole = await callThrough(client, { ...question, stream: false });
  const streamed = await callThrough(client, { ...question, stream: true });
  near.dispose();
  return { whole, streamed, sent };
}

describe.each(CLIENTS)('%s', (client) => {
  test('runs the tool that is called, and gets an answer to its result', async () => {
    const { whole, streamed, sent } = await page.evaluate(callInPage, client);
    const call = { color: expect.stringMatching(/^(red|green)$/), count: expect.any(Number) };
    expect(whole).toEqual({ calls: [call], text: expect.stringMatching(/\S/) });
    expect(streamed).toEqual(whole);
    expect(sent.map(({ messages }) => messages.map(({ role }) => role).join(' '))).toEqual([
      'user',
      'user assistant tool',
      'user',
      'user assistant tool',
    ]);
  });
});

// Chromium's software adapter takes up to two seconds for each token that a constraint refuses: minutes in all.
test('calls on WebGPU are those on wasm', { tags: ['long'], timeout: 600_000 }, async () => {
  const answers = await page.evaluate(async () => {
    const parameters = { properties: { color: { enum: ['red', 'green'] }, count: { type: 'integer', minimum: 1 } } };
    const tools = [{ type: 'function', function: { name: 'add', parameters: { ...parameters, required: ['color'] } } }];
    const answersOn = async (device: 'webgpu' | 'wasm'): Promise<unknown[]> => {
      const near = remotePage.make({ policy: 'local-only', device });
      const answers: unknown[] = [];
      for (const fields of [
        {},
        { tool_choice: 'required', max_tokens: 60 },
        { response_format: { type: 'json_object' } },
      ]) {
        const response = await near.fetch(remotePage.url, remotePage.post({ max_tokens: 24, tools, ...fields }));
        if (!response.ok) return [device, await response.json()];
        const { choices, usage } = (await response.json()) as import('nearsight').ChatCompletion;
        const { content, tool_calls } = choices[0]!.message;
        const calls = tool_calls?.map(({ function: called }) => called);
        answers.push({ content, calls, reason: choices[0]!.finish_reason, tokens: usage.completion_tokens });
      }
      near.dispose();
      return answers;
    };
    return { webgpu: await answersOn('webgpu'), wasm: await answersOn('wasm') };
  });
  expect(answers.webgpu).toEqual(answers.wasm);
  expect(answers.wasm[1]).toMatchObject({ content: null, calls: [{ name: 'add' }] });
});
