/** Which requests are intercepted, and how their bodies are read. Parts are written by hand (see job-parts.ts). */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createFetch } from '../../../src/fetch/intercept.ts';
import type { InterceptOptions } from '../../../src/fetch/request-context.ts';
import type { ChatJob } from '../../../src/protocol/job.ts';
import { ANSWER, engineOf, partsOf } from '../job-parts.ts';

const NIM = 'https://integrate.api.nvidia.com';
const CHAT = `${NIM}/v1/chat/completions`;
const BODY = { model: 'glimpse', messages: [{ role: 'user', content: 'hi' }] };
const JSON_BODY = JSON.stringify(BODY);

/** The calls of the wrapped fetch, which stands in for the network. */
type Passed = Parameters<typeof fetch>[];

function makeFetch(options: Partial<InterceptOptions> = {}): {
  fetch: typeof fetch;
  passed: Passed;
  jobs: ChatJob[];
} {
  const passed: Passed = [];
  const jobs: ChatJob[] = [];
  const fetch = createFetch({
    intercept: [NIM, 'https://ai.api.nvidia.com/v1/vlm/'],
    model: async () => 'glimpse',
    limits: { requestBytes: 1000, imageBytes: 1000, images: 3, pixels: 1e6 },
    fetch: async (...call) => {
      passed.push(call);
      return new Response('from the network');
    },
    engine: engineOf((job) => {
      jobs.push(job);
      return partsOf(...ANSWER);
    }),
    ...options,
  });
  return { fetch, passed, jobs };
}

const post = (body: RequestInit['body'] | null = JSON_BODY, init: RequestInit = {}): RequestInit => ({
  method: 'POST',
  body,
  ...init,
});

afterEach(() => vi.unstubAllGlobals());

describe('URLs', () => {
  it.each([
    CHAT,
    `${NIM}//v1//chat/completions`,
    `${CHAT}/`,
    `${CHAT}?a=b#c`,
    'HTTPS://Integrate.API.nvidia.com:443/v1/chat/completions',
    `${NIM}/v1/../v1/chat/completions`,
    `${NIM}/chat/completions`,
    `${NIM}/deep/v1/chat/completions`,
    'http://integrate.api.nvidia.com/v1/chat/completions',
    'https://integrate.api.nvidia.com:8443/v1/chat/completions',
    'http://integrate.api.nvidia.com:80/v1/chat/completions',
    'https://integrate.api.nvidia.com./v1/chat/completions',
    'https://user:secret@integrate.api.nvidia.com/v1/chat/completions',
    'https://ｉntegrate.api.nvidia。com/v1/chat/completions',
  ])('answers POST %s', async (url) => {
    const { fetch, passed } = makeFetch();
    const response = await fetch(url, post());
    expect(response.status).toBe(200);
    expect(response.headers.get('x-nearsight-origin')).toBe('local');
    expect(response.url).toBe(new URL(url).href);
    expect(passed).toEqual([]);
  });

  it('accepts a string, a URL or a Request, and what init overrides', async () => {
    const { fetch, jobs } = makeFetch();
    await fetch(new URL(CHAT), post());
    await fetch(new Request(CHAT, post()));
    await fetch(new Request(CHAT, post('not json')), { body: JSON_BODY });
    await fetch(new Request(CHAT), { method: 'post', body: JSON_BODY });
    await fetch(new Request(CHAT, post(JSON_BODY, { headers: { 'content-type': 'image/png' } })), {
      headers: [['Content-Type', 'application/json']],
    });
    expect(jobs).toHaveLength(5);
  });

  it('resolves relative URLs against the page', async () => {
    vi.stubGlobal('location', { href: 'https://page.example/app/' });
    const { fetch, jobs, passed } = makeFetch({ intercept: ['/nim', 'https://page.example/other/'] });
    for (const url of ['/nim/v1/chat/completions', '../nim/chat/completions', '/other/v1/chat/completions']) {
      expect(await (await fetch(url, post())).json()).toMatchObject({ object: 'chat.completion' });
    }
    await fetch('/nimble/v1/chat/completions', post());
    await fetch('v1/chat/completions', post());
    expect([jobs.length, passed.length]).toEqual([3, 2]);
  });

  it('of an origin with a port, answers that port only, by either scheme', async () => {
    const { fetch, jobs, passed } = makeFetch({ intercept: ['http://localhost:8000'] });
    for (const origin of ['http://localhost:8000', 'https://localhost:8000', 'http://LOCALHOST.:8000'])
      await fetch(`${origin}/v1/chat/completions`, post());
    expect([jobs.length, passed.length]).toEqual([3, 0]);
    for (const origin of ['http://localhost', 'http://localhost:8001', 'http://127.0.0.1:8000'])
      await fetch(`${origin}/v1/chat/completions`, post());
    expect([jobs.length, passed.length]).toEqual([3, 3]);
  });

  it('passes everything on where relative prefixes cannot be resolved', async () => {
    const { fetch, jobs, passed } = makeFetch({ intercept: ['/nim'] });
    await fetch('https://page.example/nim/v1/chat/completions', post());
    expect([jobs.length, passed.length]).toEqual([0, 1]);
  });

  it("reads the model from NVIDIA's per-model paths, unless the body names one", async () => {
    const model = async (): Promise<string> => 'nvidia/neva-22b';
    const { fetch } = makeFetch({ model, intercept: [NIM, 'https://ai.api.nvidia.com/v1/vlm/'] });
    const { model: _, ...nameless } = BODY;
    const body = JSON.stringify({ ...nameless, model: null });
    const urls = ['https://ai.api.nvidia.com/v1/vlm/nvidia/neva-22b', `${NIM}/v1/gr/nvidia/neva-22b/chat/completions`];
    for (const url of urls) {
      expect(await (await fetch(url, post(body))).json()).toMatchObject({ model: 'nvidia/neva-22b' });
    }
    expect((await fetch('https://ai.api.nvidia.com/v1/vlm/nvidia/neva-22b', post())).status).toBe(404);
  });

  it.each([
    ['POST', '/v1/embeddings', 404],
    ['GET', '/', 404],
    ['GET', '/v1/models/', 200],
    ['GET', '/v1/models/glimpse', 200],
    ['GET', '/v1/models/nvidia%2Fneva-22b', 404],
    ['GET', '/v1/models/%zz', 404],
    ['POST', '/v1/models', 405],
    ['GET', '/v1/health/ready', 200],
    ['GET', '/v1/health/live', 200],
    ['GET', '/v1/health/other', 404],
    ['GET', '/v1/chat/completions', 405],
    ['HEAD', '/v1/chat/completions', 405],
    ['OPTIONS', '/v1/chat/completions', 405],
    ['DELETE', '/v1/chat/completions', 405],
    ['POST', '/v1/chat/completions/render', 404],
    ['POST', '/v1/%63hat/completions', 404],
  ])('on an intercepted origin, %s %s is answered with %i', async (method, path, status) => {
    const { fetch, passed } = makeFetch();
    const response = await fetch(NIM + path, { method });
    expect(response.status).toBe(status);
    expect(passed).toEqual([]);
    if (status === 405) expect(response.headers.get('allow')).toMatch(/^(GET|POST)$/);
    if (status >= 400) expect(await response.json()).toHaveProperty('error.message');
  });

  it('an unknown path is named, and one that would work', async () => {
    const response = await makeFetch().fetch(`${NIM}/v1/embeddings`, post());
    const message = 'There is nothing at /v1/embeddings. Try POST /v1/chat/completions.';
    expect(await response.json()).toMatchObject({ error: { message, code: 'unknown_url' } });
  });

  it('answers the health probe as NIM does', async () => {
    const response = await makeFetch().fetch(`${NIM}/v1/health/ready`);
    expect(await response.json()).toEqual({ object: 'health.response', message: 'Service is ready.' });
  });

  it.each([
    'https://api.openai.com/v1/chat/completions',
    'https://integrate.api.nvidia.com.evil.example/v1/chat/completions',
    'https://ai.api.nvidia.com/v1/vlmx/a/b',
    'https://ai.api.nvidia.com/v1/genai/a/b',
    'data:,hello',
    `blob:${NIM}/v1/chat/completions`,
  ])('passes %s on, untouched', async (url) => {
    const { fetch, passed } = makeFetch();
    const init = post();
    const response = await fetch(url, init);
    expect(await response.text()).toBe('from the network');
    expect(passed[0]?.[0]).toBe(url);
    expect(passed[0]?.[1]).toBe(init);
  });

  it('does not read the body of a Request that it passes on', async () => {
    const { fetch, passed } = makeFetch();
    const request = new Request('https://api.openai.com/v1/chat/completions', post());
    await fetch(request);
    expect(passed[0]?.[0]).toBe(request);
    expect(request.bodyUsed).toBe(false);
  });

  it('passes on to the global fetch at its creation, without recursion and without `this`', async () => {
    const seen: unknown[] = [];
    vi.stubGlobal('fetch', function (this: unknown) {
      seen.push(this);
      return Promise.resolve(new Response('native'));
    });
    const { fetch: patched } = makeFetch({ fetch: undefined });
    vi.stubGlobal('fetch', patched);
    expect(await (await globalThis.fetch('https://other.example/')).text()).toBe('native');
    expect(seen).toEqual([undefined]);
  });

  it('does not need `this`', async () => {
    const { fetch } = makeFetch();
    expect((await fetch.call(undefined, CHAT, post())).status).toBe(200);
    expect((await fetch.call({}, CHAT, post())).status).toBe(200);
  });
});

describe('Responses are like those of the native fetch', () => {
  const streaming = JSON.stringify({ ...BODY, stream: true });

  it.each([
    ['JSON', CHAT, JSON_BODY],
    ['a stream', CHAT, streaming],
    ['an error', `${NIM}/v1/nothing`, JSON_BODY],
  ])('%s: url, type and redirected, also of clones', async (_kind, url, body) => {
    const response = await makeFetch().fetch(url, post(body));
    const clone = response.clone();
    const ofClone = clone.clone();
    for (const one of [response, clone, ofClone]) {
      expect(one).toBeInstanceOf(Response);
      expect(one).toMatchObject({ url, type: 'cors', redirected: false, bodyUsed: false });
    }
    expect(await clone.text()).toBe(await response.text());
    expect([response.bodyUsed, clone.bodyUsed, ofClone.bodyUsed]).toEqual([true, true, false]);
  });

  it("those of the page's own origin are basic", async () => {
    vi.stubGlobal('location', { href: `${NIM}/app`, origin: NIM });
    expect(await makeFetch().fetch(CHAT, post())).toHaveProperty('type', 'basic');
  });

  it.each([
    ['JSON', JSON_BODY],
    ['a stream', streaming],
  ])('%s can be read by a BYOB reader', async (_kind, body) => {
    const { fetch } = makeFetch();
    const reader = (await fetch(CHAT, post(body))).body?.getReader({ mode: 'byob' });
    const decoder = new TextDecoder();
    let text = '';
    for (;;) {
      const { done, value } = (await reader?.read(new Uint8Array(7))) ?? { done: true };
      text += decoder.decode(value, { stream: !done });
      if (done) break;
    }
    await reader?.closed;
    const whole = await (await fetch(CHAT, post(body))).text();
    const changing = /"(id|created)":("[^"]*"|\d+)/g;
    expect(text.replaceAll(changing, '')).toBe(whole.replaceAll(changing, ''));
  });
});

describe('bodies', () => {
  const bytes = new TextEncoder().encode(JSON_BODY);
  const padded = new Uint8Array([0, 0, ...bytes, 0]);

  it.each<[string, RequestInit['body']]>([
    ['a string', JSON_BODY],
    ['bytes', bytes],
    ['a view into a larger buffer', padded.subarray(2, -1)],
    ['an ArrayBuffer', bytes.slice().buffer],
    ['a Blob', new Blob([JSON_BODY])],
    ['a typed Blob', new Blob([JSON_BODY], { type: 'application/json' })],
    ['a stream', new Blob([JSON_BODY.slice(0, 9), JSON_BODY.slice(9)]).stream()],
  ])('may be %s', async (_kind, body) => {
    const { fetch, jobs } = makeFetch();
    expect((await fetch(CHAT, post(body))).status).toBe(200);
    expect(jobs[0]?.turns).toEqual([{ role: 'user', parts: [{ type: 'text', text: 'hi' }] }]);
  });

  it.each([
    ['none', null, {}, 400],
    ['an empty string', '', {}, 400],
    ['not JSON', '{"model":', {}, 400],
    ['a string of JSON', '"hi"', {}, 400],
    ['an array', '[]', {}, 400],
    ['JSON with a byte-order mark', `\uFEFF${JSON_BODY}`, {}, 400],
    ['invalid UTF-8', new Uint8Array([0x22, 0xff, 0x22]), {}, 400],
    ['a form', new URLSearchParams(BODY.model), {}, 415],
    ['a multipart form', new FormData(), {}, 415],
    ['a Blob of another type', new Blob([JSON_BODY], { type: 'image/png' }), {}, 415],
    ['another content type', JSON_BODY, { 'content-type': 'application/xml' }, 415],
    ['JSON with a charset', JSON_BODY, { 'Content-Type': 'Application/JSON; charset=utf-8' }, 200],
    ['a subtype of JSON', JSON_BODY, { 'content-type': 'application/vnd.api+json' }, 200],
    ['a long one', JSON_BODY + ' '.repeat(1000), {}, 413],
    ['nested without end', `{"model":"m","tools":${'['.repeat(400)}${']'.repeat(400)}}`, {}, 400],
  ])('%s', async (_kind, body, headers: HeadersInit, status) => {
    const response = await makeFetch().fetch(CHAT, post(body, { headers }));
    expect(response.status).toBe(status);
    if (status !== 200) expect(await response.json()).toHaveProperty('error.message');
  });

  it('of streams are read no further than the limit', async () => {
    const cancelled = vi.fn();
    const endless = new ReadableStream({ pull: (it) => it.enqueue(new Uint8Array(100)), cancel: cancelled });
    const response = await makeFetch().fetch(CHAT, post(endless));
    expect(response.status).toBe(413);
    expect(cancelled).toHaveBeenCalledOnce();
  });

  it.each([
    ['breaks off', (controller: ReadableStreamDefaultController) => controller.error(new Error('gone'))],
    ['yields no bytes', (controller: ReadableStreamDefaultController) => controller.enqueue(7)],
  ])('of a stream that %s are a 400', async (_what, pull) => {
    const response = await makeFetch().fetch(CHAT, post(new ReadableStream({ pull })));
    expect(response.status).toBe(400);
    const message = expect.stringMatching(/^The body could not be read: (Error: gone|TypeError: The stream)/);
    expect(await response.json()).toMatchObject({ error: { message } });
  });

  it('of exactly the limit pass', async () => {
    const { fetch } = makeFetch({
      limits: { requestBytes: JSON_BODY.length, imageBytes: 1000, images: 3, pixels: 1e6 },
    });
    expect((await fetch(CHAT, post())).status).toBe(200);
    expect((await fetch(CHAT, post(`${JSON_BODY} `))).status).toBe(413);
  });

  it('that were read before, or are being read, reject, as in the native fetch', async () => {
    const { fetch } = makeFetch();
    const read = new Request(CHAT, post());
    await read.text();
    await expect(fetch(read)).rejects.toThrow(TypeError);
    await expect(fetch(read, { body: JSON_BODY })).resolves.toHaveProperty('status', 200);
    const locked = new Request(CHAT, post());
    locked.body?.getReader();
    await expect(fetch(locked)).rejects.toThrow(TypeError);
  });

  it.each([CHAT, `${NIM}/v1/embeddings`])('of a Request to %s are used at once, and once', async (url) => {
    const { fetch, passed } = makeFetch();
    const request = new Request(url, post());
    const first = fetch(request);
    expect(request.bodyUsed).toBe(true);
    await expect(fetch(request)).rejects.toThrow('Make a new Request, or pass a clone()');
    await first;
    expect(passed).toEqual([]);
  });

  it('of a Request stay unread if init has another', async () => {
    const request = new Request(CHAT, post('not json'));
    await makeFetch().fetch(request, { body: JSON_BODY });
    expect(await request.text()).toBe('not json');
  });

  it.each([
    ['gzip', 415],
    ['BR, gzip', 415],
    ['identity', 200],
    [' Identity ', 200],
  ])('with content-encoding %s are answered %i', async (encoding, status) => {
    const headers = { 'content-encoding': encoding };
    const response = await makeFetch().fetch(CHAT, post(JSON_BODY, { headers }));
    expect(response.status).toBe(status);
    if (status === 200) return;
    const message = `The body must not be compressed, but its content-encoding is ${encoding}.`;
    expect(await response.json()).toMatchObject({ error: { message, param: 'content-encoding' } });
  });

  it('name an unknown model in a 404', async () => {
    const response = await makeFetch().fetch(CHAT, post(JSON.stringify({ ...BODY, model: 'gpt-9' })));
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ error: { code: 'model_not_found', param: 'model' } });
  });

  it('turn <img> tags into images only if images.tags is set', async () => {
    const body = JSON.stringify({ ...BODY, messages: [{ role: 'user', content: '<img src="data:,x"> this?' }] });
    const off = makeFetch();
    await off.fetch(CHAT, post(body));
    expect(off.jobs[0]?.turns[0]?.parts[0]?.type).toBe('text');
    const on = makeFetch({ images: { tags: true } });
    await on.fetch(CHAT, post(body));
    expect(on.jobs[0]?.turns[0]?.parts[0]?.type).toBe('image');
    // NVIDIA's own samples send images so.
    for (const url of [
      `${NIM}/v1/gr/nvidia/neva-22b/chat/completions`,
      'https://ai.api.nvidia.com/v1/vlm/nvidia/neva-22b',
    ]) {
      const model = async (): Promise<string> => 'nvidia/neva-22b';
      const parts = async (images?: InterceptOptions['images']): Promise<string | undefined> => {
        const { fetch, jobs } = makeFetch({ model, images });
        await fetch(url, post(body.replace('glimpse', 'nvidia/neva-22b')));
        return jobs[0]?.turns[0]?.parts[0]?.type;
      };
      expect(await parts()).toBe('image');
      expect(await parts({ tags: false })).toBe('text');
    }
  });
});
