/**
 * The clients that people use, unmodified, in a real page: answered by glimpse in the page, by a NIM stand-in on another
 * origin (test/nim), and by the latter in place of the former. What goes over the network is watched.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { NearsightOptions } from 'nearsight';
import { createNimProxy } from 'nearsight/proxy';
import { startNim, type Nim } from '../nim/server.ts';
import { openPage, type TestPage } from './harness/harness.ts';

declare const wire: Wire;

/** What the tests below share in the page. */
interface Wire {
  /** The `fetch` of a new nearsight on the CPU; the one before is disposed of. */
  make(options?: Partial<NearsightOptions>): typeof fetch;
  /** A `data:` URL of a red square. */
  picture: string;
}

const NIM = 'https://integrate.api.nvidia.com/v1';

function installWire(): void {
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = 64;
  const context = canvas.getContext('2d');
  if (!context) throw new Error('no canvas');
  context.fillStyle = 'red';
  context.fillRect(0, 0, 64, 64);
  let last: import('nearsight').Nearsight | undefined;
  const make: Wire['make'] = (options) => {
    last?.dispose();
    last = nearsight.createNearsight({ model: glimpse, device: 'wasm', ...options });
    return last.fetch;
  };
  Object.assign(globalThis, { wire: { make, picture: canvas.toDataURL('image/png') } satisfies Wire });
}

let page: TestPage;
let nim: Nim;

beforeAll(async () => {
  page = await openPage({ policy: null, isolated: false });
  nim = await startNim({ cors: page.origin });
  await page.evaluate(installWire);
});

afterAll(async () => {
  await page[Symbol.asyncDispose]();
  await nim.close();
});

/** Who answers, the model that leads there, and what the answer must be. */
const where = [
  ['in the page', 'glimpse', /\S/],
  ['by the remote', 'meta/llama', /^(From afar\.|A cat ✓\.)$/],
  ['by the remote, because a field is not honoured here', 'glimpse+tools', /^(From afar\.|A cat ✓\.)$/],
] as const;

test.each(where)('openai, %s: create, stream and the .stream() helper', async (_where, name, expected) => {
  const said = await page.evaluate(
    async (baseURL, remote, model) => {
      const options = { dialect: 'nim2', model: 'meta/llama', baseURL: remote } as const;
      const openai = new OpenAI({
        baseURL,
        apiKey: 'local',
        fetch: wire.make({ remote: options }),
        dangerouslyAllowBrowser: true,
      });
      const [local, tools] = model.split('+');
      const content = [
        { type: 'text' as const, text: 'What is this?' },
        { type: 'image_url' as const, image_url: { url: wire.picture } },
      ];
      const request = {
        model: local ?? '',
        max_tokens: 4,
        messages: [{ role: 'user' as const, content }],
        ...(tools && { tools: [{ type: 'function' as const, function: { name: 'x' } }] }),
      };
      const whole = await openai.chat.completions.create(request);
      let streamed = '';
      for await (const chunk of await openai.chat.completions.create({ ...request, stream: true })) {
        streamed += chunk.choices[0]?.delta.content ?? '';
      }
      const helper = await openai.chat.completions.stream(request).finalContent();
      return [whole.choices[0]?.message.content, streamed, helper];
    },
    NIM,
    nim.baseURL,
    name,
  );
  for (const text of said) expect(text).toMatch(expected);
  if (name === 'glimpse') expect(new Set(said).size).toBe(1);
});

test.each(where.slice(0, 2))('the AI SDK, %s: generateText and streamText', async (_where, name, expected) => {
  const said = await page.evaluate(
    async (baseURL, remote, name) => {
      const { createOpenAICompatible, generateText, streamText } = await loadClients();
      const provider = createOpenAICompatible({
        name: 'nearsight',
        baseURL,
        fetch: wire.make({ remote: { baseURL: remote } }),
      });
      const content = [
        { type: 'text' as const, text: 'What is this?' },
        { type: 'file' as const, data: wire.picture, mediaType: 'image/png' },
      ];
      const request = { model: provider(name), maxOutputTokens: 4, messages: [{ role: 'user' as const, content }] };
      const { text } = await generateText(request);
      let streamed = '';
      for await (const piece of streamText(request).textStream) streamed += piece;
      return [text, streamed];
    },
    NIM,
    nim.baseURL,
    name,
  );
  for (const text of said) expect(text).toMatch(expected);
});

test.each(where.slice(0, 2))('LangChain, %s: invoke and stream', async (_where, name, expected) => {
  const said = await page.evaluate(
    async (baseURL, remote, model) => {
      const { ChatOpenAI, HumanMessage } = await loadClients();
      const fetch = wire.make({ remote: { baseURL: remote } });
      const chat = new ChatOpenAI({ model, apiKey: 'local', maxTokens: 4, configuration: { baseURL, fetch } });
      const content = [
        { type: 'text' as const, text: 'What is this?' },
        { type: 'image_url' as const, image_url: { url: wire.picture } },
      ];
      const question = [new HumanMessage({ content })];
      let streamed = '';
      for await (const piece of await chat.stream(question)) streamed += piece.text;
      return [(await chat.invoke(question)).text, streamed];
    },
    NIM,
    nim.baseURL,
    name,
  );
  for (const text of said) expect(text).toMatch(expected);
});

test('only listed headers cross the origin, so that a preflight passes', () => {
  const allowed = ['accept', 'accept-language', 'content-type', 'authorization'];
  for (const { headers, method } of nim.seen) {
    expect(method).toBe('POST');
    const own = Object.keys(headers).filter((name) => /^(x-|openai|authorization)/.test(name));
    expect(own.filter((name) => !allowed.includes(name))).toEqual([]);
    expect(headers.cookie).toBeUndefined();
  }
});

test('a page reaches NVIDIA through a proxy of its own, under the strict policy', async () => {
  const key = 'nvapi-of-the-server';
  const hosted = await startNim({ key, dialect: 'hosted' });
  const upstream = { chat: hosted.baseURL, vlm: hosted.baseURL };
  const proxy = createNimProxy({ apiKey: key, authorize: () => true, models: ['meta/llama'], upstream });
  const answer = (request: Request): Promise<Response> | undefined =>
    new URL(request.url).pathname.startsWith('/nim/') ? proxy(request) : undefined;
  await using proxied = await openPage({ isolated: false, answer });
  await proxied.evaluate(installWire);
  const said = await proxied.evaluate(async (url) => {
    const fetch = wire.make({ remote: { baseURL: '/nim' } });
    const content = ['What?', { image_url: wire.picture }];
    const body = JSON.stringify({ model: 'meta/llama', messages: [{ role: 'user', content }], stream: true });
    return (await fetch(url, { method: 'POST', body })).text();
  }, `${NIM}/chat/completions`);
  await hosted.close();
  expect(said).toContain('A cat');
  expect(said).toMatch(/data: \[DONE\]\n\n$/);
  expect(hosted.seen).toHaveLength(1);
  expect(hosted.seen[0]?.body).toMatchObject({ messages: [{ content: [{ type: 'text' }, { type: 'image_url' }] }] });
  expect(proxied.foreign).toEqual([]);
});

test('a remote that does not let the page in is named, with the way round', async () => {
  const closed = await startNim();
  const error = await page.evaluate(
    async (url, remote) => {
      const body = JSON.stringify({ model: 'meta/llama', messages: [{ role: 'user', content: 'hi' }] });
      const response = await wire.make({ remote: { baseURL: remote } })(url, { method: 'POST', body });
      return { status: response.status, text: await response.text() };
    },
    `${NIM}/chat/completions`,
    closed.baseURL,
  );
  await closed.close();
  expect(error.status).toBe(502);
  expect(error.text).toContain('CORS');
  // The browser asked first and was refused, so nothing was said.
  expect(closed.seen).toEqual([]);
});

test('local-only: not one request leaves after the load, whatever is asked', async () => {
  await using watched = await openPage({ isolated: false });
  await watched.evaluate(installWire);
  const quiet = await startNim({ cors: watched.origin });
  const ask = (header: string | null): Promise<(number | string)[]> =>
    watched.evaluate(
      async (baseURL, remote, policy) => {
        const fetch = wire.make({ remote: { baseURL: remote }, policy: policy ? 'remote-first' : 'local-only' });
        const outcomes: (number | string)[] = [];
        const post = async (fields: object): Promise<void> => {
          const body = JSON.stringify({ model: 'glimpse', max_tokens: 2, ...fields });
          const headers = policy ? { 'x-nearsight-policy': policy } : undefined;
          const response = await fetch(`${baseURL}/chat/completions`, {
            method: 'POST',
            body,
            ...(headers && { headers }),
          });
          const error = ((await response.json()) as { error?: { code: string } }).error;
          outcomes.push(error?.code ?? response.status);
        };
        const picture = (url: string): object => ({
          messages: [{ role: 'user', content: ['What?', { image_url: url }] }],
        });
        await post(picture(wire.picture));
        await post({ ...picture(wire.picture), model: 'meta/llama' });
        await post({ ...picture(wire.picture), tools: [{}] });
        await post(picture(`${remote}/cat.png`));
        await post(picture('data:image/png;base64,AAAA'));
        for (const path of ['embeddings', 'models']) outcomes.push((await fetch(`${baseURL}/${path}`)).status);
        return outcomes;
      },
      NIM,
      quiet.baseURL,
      header,
    );
  const expected = [200, 'model_not_found', 'unsupported_field', 'unreadable_image', 'unreadable_image', 404, 200];
  expect(await ask(null)).toEqual(expected);
  expect(await ask('local-only')).toEqual(expected);
  expect(watched.foreign).toEqual([]);
  expect(quiet.seen).toEqual([]);
  await quiet.close();
});
