/** The proxy, mounted in a real Node server, in front of a real server that answers as NIM does (test/nim). */
import { createServer, type Server } from 'node:http';
import { connect } from 'node:net';
import { text as textOf } from 'node:stream/consumers';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createNimProxy, memoryStore, toNodeHandler, type NimProxyOptions } from '../../../proxy/index.ts';
import { STREAMS } from '../../nim/streams.ts';
import { startNim, type Nim } from '../../nim/server.ts';
import { ask, failing, fetchWithRemote } from '../with-remote.ts';

const KEY = 'nvapi-secret-of-the-server';
const MODELS = [
  'meta/llama',
  'nvidia/neva-22b',
  'error/busy',
  'error/end-of-life',
  'queued/1',
  'stream/openai',
  'stream/hang',
];

let nim: Nim | undefined;
let server: Server | undefined;
afterEach(async () => {
  server?.closeAllConnections();
  server?.close();
  await nim?.close();
});

/** A proxy at `/nim`, whose upstream lets in its key only. */
async function proxied(options: Partial<NimProxyOptions> = {}): Promise<{ url: string; nim: Nim }> {
  const upstream = await startNim({ key: KEY });
  nim = upstream;
  const proxy = createNimProxy({
    apiKey: KEY,
    authorize: (request) => request.headers.get('cookie') === 'session=1',
    models: MODELS,
    upstream: { chat: upstream.baseURL, vlm: upstream.baseURL },
    ...options,
  });
  const http = createServer(toNodeHandler(proxy));
  server = http;
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const address = http.address();
  if (typeof address !== 'object' || !address) throw new Error('The server has no port.');
  return { url: `http://127.0.0.1:${address.port}/nim`, nim: upstream };
}

const headers = { cookie: 'session=1', 'content-type': 'application/json' };

function post(fields: object = {}, init: RequestInit = {}): RequestInit {
  const body = JSON.stringify({ model: 'meta/llama', messages: [{ role: 'user', content: 'hi' }], ...fields });
  return { method: 'POST', body, headers, ...init };
}

describe('access', () => {
  it.each<[string, string, RequestInit, number, string]>([
    [
      'no session',
      'chat/completions',
      post({}, { headers: { 'content-type': 'application/json' } }),
      401,
      'unauthorized',
    ],
    [
      'another page',
      'chat/completions',
      post({}, { headers: { ...headers, origin: 'https://evil.example' } }),
      403,
      'origin_refused',
    ],
    ['another model', 'chat/completions', post({ model: 'meta/expensive' }), 404, 'model_not_found'],
    ['no model', 'chat/completions', post({ model: undefined }), 404, 'model_not_found'],
    ['another model by its path', 'vlm/google/deplot', post(), 404, 'model_not_found'],
    ['a model smuggled into the path', 'vlm/nvidia/neva-22b%2F..', post(), 404, 'unknown_url'],
    ['a model in another case', 'chat/completions', post({ Model: 'meta/expensive' }), 400, 'invalid_request'],
    ['a model beside the path', 'vlm/nvidia/neva-22b', post({ model: 'meta/expensive' }), 404, 'model_not_found'],
    ['a list', 'chat/completions', post({}, { body: '["meta/llama"]' }), 400, 'invalid_request'],
    ['a large body', 'chat/completions', post({ pad: 'x'.repeat(2000) }), 413, 'request_too_large'],
    ['no JSON', 'chat/completions', post({}, { body: '{' }), 400, 'invalid_request'],
    ['a form', 'chat/completions', post({}, { headers: { cookie: 'session=1' } }), 415, 'unsupported_media_type'],
    ['another path', 'embeddings', post(), 404, 'unknown_url'],
    ['another method', 'chat/completions', { headers }, 405, 'method_not_allowed'],
  ])('refuses %s', async (_who, path, init, status, code) => {
    const { url, nim: upstream } = await proxied({ maxBytes: 1000 });
    const response = await fetch(`${url}/${path}`, init);
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({ error: { code } });
    expect(response.headers.get('x-nearsight-origin')).toBe('proxy');
    expect(upstream.seen).toEqual([]);
  });

  it('refuses a body that is larger than its content-length', async () => {
    const { url, nim: upstream } = await proxied({ maxBytes: 1000 });
    const body = new Blob(['x'.repeat(5000)]).stream();
    const response = await fetch(`${url}/chat/completions`, { ...post(), body, duplex: 'half' } as RequestInit);
    expect(response.status).toBe(413);
    expect(upstream.seen).toEqual([]);
  });

  it('refuses a page that writes its own origin into the path', async () => {
    const { url, nim: upstream } = await proxied();
    const origin = 'http://evil.example';
    const { port } = new URL(url);
    const path = '//evil.example/nim/chat/completions';
    // As text, because fetch would tidy it up.
    const socket = connect(Number(port), '127.0.0.1');
    const { cookie, 'content-type': type } = headers;
    socket.end(
      `POST ${path} HTTP/1.1\r\nHost: app.example\r\nOrigin: ${origin}\r\nCookie: ${cookie}\r\nContent-Type: ${type}\r\n` +
        `Content-Length: 22\r\nConnection: close\r\n\r\n{"model":"meta/llama"}`,
    );
    expect(await textOf(socket)).toMatch(/^HTTP\/1\.1 403 .*origin_refused/s);
    expect(upstream.seen).toEqual([]);
  });

  it('passes a body that names its model twice on with the model that was checked', async () => {
    const { url, nim: upstream } = await proxied();
    const body = '{"model":"meta/expensive","messages":[],"model":"meta/llama"}';
    expect((await fetch(`${url}/chat/completions`, post({}, { body }))).status).toBe(200);
    expect(upstream.seen[0]?.text).toBe('{"model":"meta/llama","messages":[]}');
  });

  it.each<[string, Partial<NimProxyOptions>, number]>([
    ['a session store that is down', { authorize: () => Promise.reject(new Error('db://user:secret@host')) }, 500],
    ['a key that cannot be read', { apiKey: () => Promise.reject(new Error('no secret')) }, 500],
    ['no key', { apiKey: () => '' }, 502],
  ])('answers nobody with %s, and does not leak the error', async (_why, options, status) => {
    const log = vi.spyOn(console, 'error').mockImplementation(() => {});
    const { url, nim: upstream } = await proxied(options);
    const response = await fetch(`${url}/chat/completions`, post());
    expect(response.status).toBe(status);
    expect(await response.text()).not.toContain('secret');
    expect(log).toHaveBeenCalledTimes(status === 500 ? 1 : 0);
    expect(upstream.seen).toEqual([]);
    log.mockRestore();
  });

  it('allows listed origins, with a preflight', async () => {
    const { url } = await proxied({ origins: ['https://app.example'] });
    const origin = 'https://app.example';
    const preflight = await fetch(`${url}/chat/completions`, { method: 'OPTIONS', headers: { origin } });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get('access-control-allow-origin')).toBe(origin);
    expect(preflight.headers.get('access-control-allow-headers')).toContain('content-type');
    const response = await fetch(`${url}/chat/completions`, post({}, { headers: { ...headers, origin } }));
    expect(response.status).toBe(200);
    expect(response.headers.get('access-control-allow-origin')).toBe(origin);
    const stranger = await fetch(`${url}/chat/completions`, {
      method: 'OPTIONS',
      headers: { origin: 'https://x.example' },
    });
    expect([stranger.status, stranger.headers.get('access-control-allow-origin')]).toEqual([403, null]);
  });

  it('limits the rate of each client', async () => {
    const client = (request: Request): string => request.headers.get('x-client') ?? '';
    const store = memoryStore(() => 0);
    const { url, nim: upstream } = await proxied({ rateLimit: { requests: 2, seconds: 60, client, store } });
    const as = (name: string): Promise<Response> =>
      fetch(`${url}/chat/completions`, post({}, { headers: { ...headers, 'x-client': name } }));
    expect([(await as('a')).status, (await as('a')).status]).toEqual([200, 200]);
    const third = await as('a');
    expect(third.status).toBe(429);
    expect(third.headers.get('retry-after')).toBe('60');
    expect((await as('b')).status).toBe(200);
    expect(upstream.seen).toHaveLength(3);
  });
});

describe('a request that passes', () => {
  it("has the key, and none of the caller's headers", async () => {
    const { url, nim: upstream } = await proxied();
    const own = { ...headers, authorization: 'Bearer caller', 'x-stainless-lang': 'js' };
    const response = await fetch(`${url}/chat/completions`, post({ max_tokens: 5 }, { headers: own }));
    expect(await response.json()).toMatchObject({ choices: [{ message: { content: 'From afar.' } }] });
    expect(upstream.seen[0]?.body).toMatchObject({ model: 'meta/llama', max_tokens: 5 });
    const sent = upstream.seen[0]?.headers ?? {};
    expect(sent.authorization).toBe(`Bearer ${KEY}`);
    for (const name of ['cookie', 'x-stainless-lang', 'origin']) expect(sent).not.toHaveProperty(name);
    expect(JSON.stringify([...response.headers])).not.toContain(KEY);
  });

  it.each(['error/busy', 'error/end-of-life'])('gets the error %s as NVIDIA sent it', async (model) => {
    const { url } = await proxied();
    const response = await fetch(`${url}/chat/completions`, post({ model }));
    expect(response.status).toBe(model === 'error/busy' ? 503 : 410);
    expect(await response.text()).toContain(model === 'error/busy' ? 'ResourceExhausted' : 'end of life');
  });

  it('gets no response with the key, even if NVIDIA quotes it', async () => {
    const quoting = await startNim();
    nim = quoting;
    const proxy = createNimProxy({
      apiKey: 'end of life',
      authorize: () => true,
      models: MODELS,
      upstream: { chat: quoting.baseURL, vlm: quoting.baseURL },
    });
    const response = await proxy(
      new Request('https://app.example/nim/chat/completions', post({ model: 'error/end-of-life' })),
    );
    expect(await response.text()).not.toContain('end of life');
  });

  it.each([
    ['is endless', (controller: ReadableStreamDefaultController) => controller.enqueue(new Uint8Array(1 << 16))],
    ['breaks off', (controller: ReadableStreamDefaultController) => controller.error(new TypeError('terminated'))],
  ])('gets only the status of an error that %s', async (_how, pull) => {
    const body = new ReadableStream({ pull });
    const spy = vi.spyOn(globalThis, 'fetch').mockResolvedValue(new Response(body, { status: 503 }));
    const proxy = createNimProxy({ apiKey: KEY, authorize: () => true, models: MODELS });
    const response = await proxy(new Request('https://app.example/nim/chat/completions', post()));
    spy.mockRestore();
    expect([response.status, await response.text()]).toEqual([503, '']);
  });

  it('has a key that was read from a file with a line end, and that the upstream does not give away', async () => {
    const fetched = vi.fn(async () => new Response(`bad key ${KEY}`, { status: 401 }));
    const spy = vi.spyOn(globalThis, 'fetch').mockImplementation(fetched);
    const proxy = createNimProxy({ apiKey: `${KEY}\n`, authorize: () => true, models: MODELS });
    const response = await proxy(new Request('https://app.example/nim/chat/completions', post()));
    spy.mockRestore();
    expect([response.status, await response.text()]).toEqual([401, 'bad key [key]']);
  });

  it('gets a stream as it comes', async () => {
    const { url } = await proxied();
    const response = await fetch(`${url}/chat/completions`, post({ model: 'stream/hang', stream: true }));
    expect(response.headers.get('content-type')).toBe('text/event-stream');
    const reader = response.body?.getReader();
    expect(new TextDecoder().decode((await reader?.read())?.value)).toContain('assistant');
    await reader?.cancel();
    await expect.poll(() => nim?.seen[0]?.aborted).toBe(true);
  });

  it('gets the stream byte for byte', async () => {
    const { url } = await proxied();
    const response = await fetch(`${url}/chat/completions`, post({ model: 'stream/openai', stream: true }));
    expect(await response.text()).toBe(STREAMS.find(({ name }) => name === 'openai')?.chunks.join(''));
  });

  it('is independent of a caller that closes its connection during its request', async () => {
    const { url, nim: upstream } = await proxied();
    const { port } = new URL(url);
    const socket = connect(Number(port), '127.0.0.1');
    socket.write(
      'POST /nim/chat/completions HTTP/1.1\r\nHost: x\r\nCookie: session=1\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{',
    );
    await new Promise((resolve) => server?.once('request', resolve));
    socket.destroy();
    expect((await fetch(`${url}/chat/completions`, post())).status).toBe(200);
    expect(upstream.seen).toHaveLength(1);
  });

  it('gets a 502 if NVIDIA is down', async () => {
    const { url } = await proxied();
    await nim?.close();
    const response = await fetch(`${url}/chat/completions`, post());
    expect(response.status).toBe(502);
    expect(await response.json()).toMatchObject({ error: { code: 'remote_unavailable' } });
  });
});

describe('a page behind it', () => {
  it.each([
    ['meta/llama', '/v1/chat/completions'],
    ['nvidia/neva-22b', '/v1/vlm/nvidia/neva-22b'],
    ['queued/1', '/v1/status/r-0'],
  ])('reaches %s at %s', async (model, path) => {
    const { url, nim: upstream } = await proxied({ authorize: () => true });
    const { fetch } = await fetchWithRemote({ engine: failing('unsupported_device'), remote: { baseURL: url } });
    const response = await fetch(...ask({ model }));
    expect(await response.json()).toMatchObject({ choices: [{ message: { content: 'From afar.' } }] });
    expect(upstream.seen.at(-1)?.path).toBe(path);
  });
});

describe('memoryStore', () => {
  it('counts in windows, and removes expired ones', () => {
    let time = 0;
    const store = memoryStore(() => time);
    const take = vi.fn((client: string) => store.take(client, 2, 10));
    expect([take('a'), take('a'), take('a'), take('b')]).toEqual([0, 0, 10, 0]);
    time = 4500;
    expect(take('a')).toBe(6);
    time = 10_000;
    expect([take('a'), take('a'), take('a')]).toEqual([0, 0, 10]);
  });
});
