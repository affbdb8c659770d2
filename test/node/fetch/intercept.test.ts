/** Which requests are intercepted. Parts are written by hand (see job-parts.ts). */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { BODY, CHAT, JSON_BODY, makeFetch, NIM, post } from './make-fetch.ts';

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

  it("of a path, answers that path of the page's own port only, with any escapes", async () => {
    vi.stubGlobal('location', { href: 'https://page.example/app/' });
    const { fetch, jobs, passed } = makeFetch({ intercept: ['/nim', 'https://gateway.example/nim'] });
    for (const url of ['/%6eim/v1/chat/completions', 'https://gateway.example:8443/n%69%6D/v1/%63hat/completions'])
      await fetch(url, post());
    expect([jobs.length, passed.length]).toEqual([2, 0]);
    for (const url of ['https://page.example:8000/nim/v1/chat/completions', '/nim%2Fv1/chat/completions'])
      await fetch(url, post());
    expect([jobs.length, passed.length]).toEqual([2, 2]);
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
