// @module-tag nightly-in-chromium
/**
 * Requests and responses seen from both ends: a real page that answers with glimpse, and a NIM stand-in on another origin
 * (test/nim). How client libraries handle them is in clients.test.ts.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createNimProxy } from 'nearsight/proxy';
import { startNim, type Nim } from '../nim/server.ts';
import { openPage, type TestPage } from './harness/harness.ts';
import { installRemotePage, openRemotePage, type ReadResponse } from './harness/remote-page.ts';

let page: TestPage;
let nim: Nim;

beforeAll(async () => {
  ({ page, nim } = await openRemotePage());
});

afterAll(async () => {
  await page[Symbol.asyncDispose]();
  await nim.close();
});

test('only allowed headers go to another origin, so that the preflight passes', async () => {
  const text = await page.evaluate(async (baseURL) => {
    const near = remotePage.make({ remote: { baseURL } });
    const openai = new OpenAI({
      baseURL: 'https://integrate.api.nvidia.com/v1',
      apiKey: 'local',
      organization: 'org',
      fetch: near.fetch,
      dangerouslyAllowBrowser: true,
    });
    const messages = [{ role: 'user' as const, content: 'hi' }];
    return (await openai.chat.completions.create({ model: 'meta/llama', messages })).choices[0]?.message.content;
  }, nim.baseURL);
  expect(text).toBe('From afar.');
  const { headers, method } = nim.seen[0]!;
  expect(method).toBe('POST');
  expect([headers.origin, headers.referer]).toEqual([page.origin, undefined]);
  expect(Object.keys(headers).filter((name) => /^(x-|openai|authorization|cookie)/.test(name))).toEqual([]);
});

test('a request that fails before its first token goes to the remote', async () => {
  const answers = await page.evaluate(failEarly, nim.baseURL);
  const expected = (reason: string): object => ({
    status: 200,
    origin: 'remote',
    model: 'meta/llama',
    reason,
    retry: null,
    text: expect.stringMatching(/From afar\.|A cat/),
  });
  expect(answers).toEqual({
    unloadable: expected('load_failed'),
    dying: expected('worker_crashed'),
    full: expected('queue_full'),
    field: expected('unsupported_field'),
    image: expected('unreadable_image'),
    long: expected('context_length_exceeded'),
    unknown: expected('model_not_found'),
  });
});

/** Runs in the page: requests that fail locally, each for another reason. */
async function failEarly(baseURL: string): Promise<Record<string, ReadResponse>> {
  const remote = { baseURL, dialect: 'nim2' as const, model: 'meta/llama' };
  const near = remotePage.make({ remote, limits: { waiting: 0 } });
  const ask = async (fields: object = {}, on = near): Promise<ReadResponse> =>
    remotePage.readResponse(await on.fetch(remotePage.url, remotePage.post(fields)));
  const unloadableModel = remotePage.make({ remote, broken: true });
  const unloadable = await ask({}, unloadableModel);
  unloadableModel.dispose();
  await near.load();
  await faults.command('hold');
  const decoding = faults.decoding();
  const prefilling = ask({ stream: true });
  await decoding;
  faults.workers.at(-1)?.terminate();
  const dying = await prefilling;
  const other = await near.fetch(remotePage.url, remotePage.post({ stream: true, ...remotePage.endless }));
  const full = await ask();
  await other.body?.cancel();
  const field = await ask({ response_format: { type: 'structural_tag' } });
  // From another origin, without CORS.
  const content = ['What?', { image_url: `${baseURL}/cat.png` }];
  const image = await ask({ messages: [{ role: 'user', content }] });
  const long = await ask({ max_tokens: 1e6 });
  const unknown = await ask({ model: 'meta/llama' });
  near.dispose();
  return { unloadable, dying, full, field, image, long, unknown };
}

test('a request that fails after its first token does not go to the remote', async () => {
  const before = nim.seen.length;
  const answer = await page.evaluate(async (baseURL) => {
    const near = remotePage.make({ remote: { baseURL, model: 'meta/llama' } });
    const response = await near.fetch(remotePage.url, remotePage.post({ stream: true, ...remotePage.endless }));
    faults.workers.at(-1)?.terminate();
    const answered = await remotePage.readResponse(response);
    near.dispose();
    return answered;
  }, nim.baseURL);
  expect(answer).toMatchObject({ status: 200, origin: 'local', reason: 'local-first' });
  expect(answer.text).toContain('"code":"worker_crashed"');
  expect(answer.text).not.toContain('"finish_reason":"stop"');
  expect(nim.seen).toHaveLength(before);
});

test('with remote-first, the local model answers when the remote is down', async () => {
  const answer = await page.evaluate(async (baseURL) => {
    const near = remotePage.make({ policy: 'remote-first', remote: { baseURL, model: 'error/busy' } });
    const answered = await remotePage.readResponse(await near.fetch(remotePage.url, remotePage.post()));
    near.dispose();
    return { ...answered, right: remotePage.answer };
  }, nim.baseURL);
  expect(answer).toMatchObject({ status: 200, origin: 'local', model: 'glimpse', reason: 'remote_unavailable' });
  expect(JSON.parse(answer.text)).toMatchObject({ choices: [{ message: { content: answer.right } }] });
  expect(nim.seen.at(-1)?.body).toMatchObject({ model: 'error/busy' });
});

test('an image without consent is not sent', async () => {
  const before = nim.seen.length;
  const answer = await page.evaluate(async (baseURL) => {
    const remote = { baseURL, consent: ({ images }: { images: number }) => images === 0 };
    const near = remotePage.make({ remote });
    return remotePage.readResponse(await near.fetch(remotePage.url, remotePage.post({ model: 'meta/llama' })));
  }, nim.baseURL);
  expect(answer.status).toBe(403);
  expect(answer.text).toContain('"code":"consent_refused"');
  expect(nim.seen).toHaveLength(before);
});

test('a page reaches NVIDIA through a proxy of its own, under the strict policy', async () => {
  const key = 'nvapi-of-the-server';
  const hosted = await startNim({ key, dialect: 'hosted' });
  const upstream = { chat: hosted.baseURL, vlm: hosted.baseURL };
  const proxy = createNimProxy({ apiKey: key, authorize: () => true, models: ['meta/llama'], upstream });
  const passed: Request[] = [];
  const answer = (request: Request): Promise<Response> | undefined => {
    if (!new URL(request.url).pathname.startsWith('/nim/')) return undefined;
    passed.push(request);
    return proxy(request);
  };
  await using proxied = await openPage({ isolated: false, answer });
  await proxied.evaluate(installRemotePage);
  const text = await proxied.evaluate(async () => {
    const { fetch } = remotePage.make({ remote: { baseURL: '/nim' } });
    return (await fetch(remotePage.url, remotePage.post({ model: 'meta/llama', stream: true }))).text();
  });
  await hosted.close();
  // The proxy compares the origin, and needs no more of the page's address.
  expect(passed.map(({ headers }) => [headers.get('origin'), headers.get('referer')])).toEqual([
    [proxied.origin, null],
  ]);
  expect(text).toContain('A cat');
  expect(text).toMatch(/data: \[DONE\]\n\n$/);
  expect(hosted.seen).toHaveLength(1);
  expect(hosted.seen[0]?.body).toMatchObject({ messages: [{ content: [{ type: 'text' }, { type: 'image_url' }] }] });
  expect(proxied.foreign).toEqual([]);
});

test('a remote that does not allow the origin gives an error that names CORS and the remedy', async () => {
  const closed = await startNim();
  const error = await page.evaluate(async (baseURL) => {
    const { fetch } = remotePage.make({ remote: { baseURL } });
    return remotePage.readResponse(await fetch(remotePage.url, remotePage.post({ model: 'meta/llama' })));
  }, closed.baseURL);
  await closed.close();
  expect(error.status).toBe(502);
  expect(error.text).toContain('CORS');
  // The preflight failed, so the browser did not send the request.
  expect(closed.seen).toEqual([]);
});

test('a Request of another window is intercepted as well', async () => {
  await using watched = await openPage();
  await watched.evaluate(installRemotePage);
  const answer = await watched.evaluate(async () => {
    const frame = document.body.appendChild(document.createElement('iframe'));
    const { Request } = frame.contentWindow as Window & typeof globalThis;
    const near = remotePage.make();
    const answered = await remotePage.readResponse(await near.fetch(new Request(remotePage.url, remotePage.post())));
    near.dispose();
    return answered;
  });
  expect(answer).toMatchObject({ status: 200, origin: 'local' });
  expect(watched.foreign).toEqual([]);
});

test('Requests and Responses behave as those of the native fetch', async () => {
  const [native, ours] = await page.evaluate(async () => {
    const near = remotePage.make();
    /** What a caller sees, of an answer or an error: neither needs the same text. */
    const look = async (fetch: typeof globalThis.fetch, url: string, body: string): Promise<object> => {
      const request = new Request(url, { method: 'POST', body });
      const first = fetch(request);
      const { bodyUsed } = request;
      const again = await fetch(request).catch((error: unknown) => error instanceof TypeError);
      const response = await first;
      const clone = response.clone();
      const kinds = [response, clone, clone.clone()].map((one) => [one.url === url, one.type, one.redirected]);
      const reader = response.body?.getReader({ mode: 'byob' });
      const text: string[] = [];
      for (let ended = false; !ended;) {
        const { done, value } = (await reader?.read(new Uint8Array(5))) ?? { done: true };
        text.push(String.fromCharCode(...(value ?? [])));
        ended = done;
      }
      return { bodyUsed, again, kinds, whole: text.join('') === (await clone.text()), used: clone.bodyUsed };
    };
    const { body, url } = remotePage;
    const seen = [
      await look(fetch, `${location.origin}/nowhere`, body()),
      await Promise.all([
        look(near.fetch, url, body({ max_tokens: 2 })),
        look(near.fetch, url, body({ max_tokens: 2, stream: true })),
        look(near.fetch, 'https://integrate.api.nvidia.com/v1/nowhere', body()),
      ]),
    ] as const;
    near.dispose();
    return seen;
  });
  const kinds = (type: string): unknown => Array(3).fill([true, type, false]);
  const expected = { bodyUsed: true, again: true, whole: true, used: true };
  expect(native).toEqual({ ...expected, kinds: kinds('basic') });
  expect(ours).toEqual(Array(3).fill({ ...expected, kinds: kinds('cors') }));
});

test('an image that is missing, or that CORS forbids to read, gives a 400 that names it and the reason', async () => {
  const hidden = await startNim();
  const answers = await page.evaluate(async (elsewhere) => {
    const near = remotePage.make();
    const about = async (url: string): Promise<ReadResponse> => {
      const content = ['What?', { image_url: url }];
      return remotePage.readResponse(
        await near.fetch(remotePage.url, remotePage.post({ messages: [{ role: 'user', content }] })),
      );
    };
    const all = [await about(`${location.origin}/nowhere.png`), await about(`${elsewhere}/cat.png`)];
    near.dispose();
    return all;
  }, hidden.baseURL);
  await hidden.close();
  expect(hidden.seen.map(({ headers }) => [headers.origin, headers.referer])).toEqual([[page.origin, undefined]]);
  for (const [at, why] of ['HTTP 404', '(CORS)'].entries()) {
    expect(answers[at]).toMatchObject({ status: 400, reason: 'unreadable_image', text: expect.stringContaining(why) });
    expect(answers[at]?.text).toContain('"param":"messages[0].content[1].image_url"');
  }
});

test('local-only: no request leaves the origin after the load', async () => {
  await using watched = await openPage({ isolated: false });
  await watched.evaluate(installRemotePage);
  const quiet = await startNim({ cors: watched.origin });
  const ask = (header: string | null): Promise<(number | string)[]> =>
    watched.evaluate(
      async (remote, policy) => {
        const near = remotePage.make({ remote: { baseURL: remote }, policy: policy ? 'remote-first' : 'local-only' });
        const headers = policy ? { 'x-nearsight-policy': policy } : undefined;
        const outcomes: (number | string)[] = [];
        const post = async (fields: object = {}): Promise<void> => {
          const body = remotePage.body({ max_tokens: 2, ...fields });
          const response = await near.fetch(remotePage.url, { method: 'POST', body, ...(headers && { headers }) });
          const error = ((await response.json()) as { error?: { code: string } }).error;
          outcomes.push(error?.code ?? response.status);
        };
        const image = (url: string): object => ({
          messages: [{ role: 'user', content: ['What?', { image_url: url }] }],
        });
        await post();
        await post({ model: 'meta/llama' });
        await post({ documents: [{}] });
        await post(image(`${remote}/cat.png`));
        await post(image('data:image/png;base64,AAAA'));
        for (const path of ['embeddings', 'models']) {
          outcomes.push((await near.fetch(`https://integrate.api.nvidia.com/v1/${path}`)).status);
        }
        near.dispose();
        return outcomes;
      },
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
