/**
 * What goes over the network, watched from both ends: a real page that answers with glimpse, and a NIM stand-in on another
 * origin (test/nim). What clients make of it is in clients.test.ts.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createNimProxy } from 'nearsight/proxy';
import { startNim, type Nim } from '../nim/server.ts';
import { openPage, type TestPage } from './harness/harness.ts';
import { installWire, openWire, type Answered } from './harness/remote-page.ts';

let page: TestPage;
let nim: Nim;

beforeAll(async () => {
  ({ page, nim } = await openWire());
});

afterAll(async () => {
  await page[Symbol.asyncDispose]();
  await nim.close();
});

test('only listed headers cross the origin, so that a preflight passes', async () => {
  const said = await page.evaluate(async (baseURL) => {
    const near = wire.make({ remote: { baseURL } });
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
  expect(said).toBe('From afar.');
  const { headers, method } = nim.seen[0]!;
  expect(method).toBe('POST');
  expect(Object.keys(headers).filter((name) => /^(x-|openai|authorization|cookie)/.test(name))).toEqual([]);
});

test('before its first token, a job that fails here moves to the remote', async () => {
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

/** Runs in the page: what a device cannot do, each for its own reason. */
async function failEarly(baseURL: string): Promise<Record<string, Answered>> {
  const remote = { baseURL, dialect: 'nim2' as const, model: 'meta/llama' };
  const near = wire.make({ remote, limits: { waiting: 0 } });
  const ask = async (fields: object = {}, on = near): Promise<Answered> =>
    wire.answered(await on.fetch(wire.url, wire.post(fields)));
  const none = wire.make({ remote, broken: true });
  const unloadable = await ask({}, none);
  none.dispose();
  await near.load();
  await sabotage.order('hold');
  const decoding = sabotage.decoding();
  const prefilling = ask({ stream: true });
  await decoding;
  sabotage.workers.at(-1)?.terminate();
  const dying = await prefilling;
  const other = await near.fetch(wire.url, wire.post({ stream: true, ...wire.endless }));
  const full = await ask();
  await other.body?.cancel();
  const field = await ask({ response_format: { type: 'json_object' } });
  // Of another origin, which does not let the page read it.
  const content = ['What?', { image_url: `${baseURL}/cat.png` }];
  const image = await ask({ messages: [{ role: 'user', content }] });
  const long = await ask({ max_tokens: 1e6 });
  const unknown = await ask({ model: 'meta/llama' });
  near.dispose();
  return { unloadable, dying, full, field, image, long, unknown };
}

test('after its first token, never', async () => {
  const before = nim.seen.length;
  const answer = await page.evaluate(async (baseURL) => {
    const near = wire.make({ remote: { baseURL, model: 'meta/llama' } });
    const response = await near.fetch(wire.url, wire.post({ stream: true, ...wire.endless }));
    sabotage.workers.at(-1)?.terminate();
    const answered = await wire.answered(response);
    near.dispose();
    return answered;
  }, nim.baseURL);
  expect(answer).toMatchObject({ status: 200, origin: 'local', reason: 'local-first' });
  expect(answer.text).toContain('"code":"worker_crashed"');
  expect(answer.text).not.toContain('"finish_reason":"stop"');
  expect(nim.seen).toHaveLength(before);
});

test('the other way round, a remote that is down is stood in for by the page', async () => {
  const answer = await page.evaluate(async (baseURL) => {
    const near = wire.make({ policy: 'remote-first', remote: { baseURL, model: 'error/busy' } });
    const answered = await wire.answered(await near.fetch(wire.url, wire.post()));
    near.dispose();
    return { ...answered, right: wire.answer };
  }, nim.baseURL);
  expect(answer).toMatchObject({ status: 200, origin: 'local', model: 'glimpse', reason: 'remote_unavailable' });
  expect(JSON.parse(answer.text)).toMatchObject({ choices: [{ message: { content: answer.right } }] });
  expect(nim.seen.at(-1)?.body).toMatchObject({ model: 'error/busy' });
});

test('an image that consent is refused for does not leave', async () => {
  const before = nim.seen.length;
  const answer = await page.evaluate(async (baseURL) => {
    const remote = { baseURL, consent: ({ images }: { images: number }) => images === 0 };
    const near = wire.make({ remote });
    return wire.answered(await near.fetch(wire.url, wire.post({ model: 'meta/llama' })));
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
  const answer = (request: Request): Promise<Response> | undefined =>
    new URL(request.url).pathname.startsWith('/nim/') ? proxy(request) : undefined;
  await using proxied = await openPage({ isolated: false, answer });
  await proxied.evaluate(installWire);
  const said = await proxied.evaluate(async () => {
    const { fetch } = wire.make({ remote: { baseURL: '/nim' } });
    return (await fetch(wire.url, wire.post({ model: 'meta/llama', stream: true }))).text();
  });
  await hosted.close();
  expect(said).toContain('A cat');
  expect(said).toMatch(/data: \[DONE\]\n\n$/);
  expect(hosted.seen).toHaveLength(1);
  expect(hosted.seen[0]?.body).toMatchObject({ messages: [{ content: [{ type: 'text' }, { type: 'image_url' }] }] });
  expect(proxied.foreign).toEqual([]);
});

test('a remote that does not let the page in is named, with the way round', async () => {
  const closed = await startNim();
  const error = await page.evaluate(async (baseURL) => {
    const { fetch } = wire.make({ remote: { baseURL } });
    return wire.answered(await fetch(wire.url, wire.post({ model: 'meta/llama' })));
  }, closed.baseURL);
  await closed.close();
  expect(error.status).toBe(502);
  expect(error.text).toContain('CORS');
  // The browser asked first and was refused, so nothing was said.
  expect(closed.seen).toEqual([]);
});

test('a Request of another window is ours, too, and does not leave', async () => {
  await using watched = await openPage();
  await watched.evaluate(installWire);
  const answer = await watched.evaluate(async () => {
    const frame = document.body.appendChild(document.createElement('iframe'));
    const { Request } = frame.contentWindow as Window & typeof globalThis;
    const near = wire.make();
    const answered = await wire.answered(await near.fetch(new Request(wire.url, wire.post())));
    near.dispose();
    return answered;
  });
  expect(answer).toMatchObject({ status: 200, origin: 'local' });
  expect(watched.foreign).toEqual([]);
});

test('an image that is not there, or that its server hides from the page, is a 400 that says which and why', async () => {
  const hidden = await startNim();
  const answers = await page.evaluate(async (elsewhere) => {
    const near = wire.make();
    const about = async (url: string): Promise<Answered> => {
      const content = ['What?', { image_url: url }];
      return wire.answered(await near.fetch(wire.url, wire.post({ messages: [{ role: 'user', content }] })));
    };
    const all = [await about(`${location.origin}/nowhere.png`), await about(`${elsewhere}/cat.png`)];
    near.dispose();
    return all;
  }, hidden.baseURL);
  await hidden.close();
  for (const [at, why] of ['HTTP 404', '(CORS)'].entries()) {
    expect(answers[at]).toMatchObject({ status: 400, reason: 'unreadable_image', text: expect.stringContaining(why) });
    expect(answers[at]?.text).toContain('"param":"messages[0].content[1].image_url"');
  }
});

test('local-only: not one request leaves after the load, whatever is asked', async () => {
  await using watched = await openPage({ isolated: false });
  await watched.evaluate(installWire);
  const quiet = await startNim({ cors: watched.origin });
  const ask = (header: string | null): Promise<(number | string)[]> =>
    watched.evaluate(
      async (remote, policy) => {
        const near = wire.make({ remote: { baseURL: remote }, policy: policy ? 'remote-first' : 'local-only' });
        const headers = policy ? { 'x-nearsight-policy': policy } : undefined;
        const outcomes: (number | string)[] = [];
        const post = async (fields: object = {}): Promise<void> => {
          const body = wire.body({ max_tokens: 2, ...fields });
          const response = await near.fetch(wire.url, { method: 'POST', body, ...(headers && { headers }) });
          const error = ((await response.json()) as { error?: { code: string } }).error;
          outcomes.push(error?.code ?? response.status);
        };
        const image = (url: string): object => ({
          messages: [{ role: 'user', content: ['What?', { image_url: url }] }],
        });
        await post();
        await post({ model: 'meta/llama' });
        await post({ tools: [{}] });
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
