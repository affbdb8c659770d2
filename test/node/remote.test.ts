/** The way out, against a real HTTP server that answers as NIM does (test/nim). Local answers are made by hand (parts.ts). */
import OpenAI from 'openai';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { RemoteOptions } from '../../src/remote.ts';
import { createShim, type ShimOptions } from '../../src/shim.ts';
import { NearsightError, type ErrorCode } from '../../src/wire/error.ts';
import type { Part } from '../../src/wire/job.ts';
import { ERRORS } from '../nim/errors.ts';
import { startNim, type Nim, type NimOptions } from '../nim/server.ts';
import { STREAMS } from '../nim/streams.ts';
import { ANSWER, partsOf, slowParts, START, text } from './parts.ts';

const OWNED = 'https://integrate.api.nvidia.com/v1';
const PNG = 'data:image/png;base64,iVBORw0KGgr/+/A=';
const KEY = 'nvapi-secret-of-the-page';

type Wire = Partial<Omit<ShimOptions, 'remote'>> & { remote?: Partial<RemoteOptions> };

let server: Nim | undefined;
afterEach(() => server?.close());

/** A shim whose model is `glimpse`, and the stand-in that is its remote. */
async function wired(wire: Wire = {}, options: NimOptions = {}): Promise<{ fetch: typeof fetch; nim: Nim }> {
  const nim = await startNim(options);
  server = nim;
  const fetch = createShim({
    owns: [OWNED],
    model: async () => 'glimpse',
    limits: { requestBytes: 1e6, pictureBytes: 1000, pictures: 3 },
    generate: async () => partsOf(...ANSWER),
    ...wire,
    remote: { baseURL: nim.baseURL, ...wire.remote },
  });
  return { fetch, nim };
}

function failing(code: ErrorCode): ShimOptions['generate'] {
  return () => Promise.reject(new NearsightError(code, 'Not here.'));
}

function ask(fields: object = {}, init: RequestInit = {}): [string, RequestInit] {
  const body = JSON.stringify({ model: 'meta/llama', messages: [{ role: 'user', content: 'hi' }], ...fields });
  return [`${OWNED}/chat/completions`, { method: 'POST', body, ...init }];
}

function picture(url = PNG): object {
  return { messages: [{ role: 'user', content: ['What?', { image_url: url }] }] };
}

function clientOf(fetch: typeof globalThis.fetch, maxRetries = 0): OpenAI {
  return new OpenAI({ baseURL: OWNED, apiKey: 'local', fetch, maxRetries });
}

describe('what cannot be answered here', () => {
  it.each<[ErrorCode, object]>([
    ['model_not_found', {}],
    ['unsupported_field', { model: 'glimpse', tools: [{}] }],
    ['unsupported_field', { model: 'glimpse', response_format: { type: 'json_object' } }],
    ['unsupported_field', { model: 'glimpse', messages: [{ role: 'tool', content: 'x' }] }],
  ])('goes to the remote, and says why: %s', async (reason, fields) => {
    const { fetch } = await wired({ remote: { dialect: 'nim2', model: 'meta/llama' } });
    const response = await fetch(...ask(fields));
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'content-type': 'application/json',
      'x-nearsight-origin': 'remote',
      'x-nearsight-reason': reason,
      'x-request-id': expect.stringMatching(/./),
    });
    expect(await response.json()).toMatchObject({ choices: [{ message: { content: 'From afar.' } }] });
  });

  it.each<ErrorCode>([
    'unsupported_device',
    'unreadable_image',
    'context_length_exceeded',
    'queue_full',
    'load_failed',
  ])('goes to the remote when the runtime says %s', async (code) => {
    const { fetch, nim } = await wired({ generate: failing(code), remote: { model: 'meta/llama' } });
    const response = await fetch(...ask({ model: 'glimpse' }));
    expect(response.headers.get('x-nearsight-reason')).toBe(code);
    expect(await response.json()).toMatchObject({ model: 'glimpse' });
    expect(nim.seen[0]?.body).toMatchObject({ model: 'meta/llama' });
  });

  it('goes to the remote when it fails before its first token, and not after', async () => {
    const broken =
      (...sent: readonly Part[]): ShimOptions['generate'] =>
      async () =>
        partsOf(...sent).pipeThrough(
          new TransformStream({ flush: (controller) => controller.error(new NearsightError('device_lost', 'Gone.')) }),
        );
    const before = await wired({ generate: broken(START), remote: { model: 'meta/llama' } });
    const moved = await before.fetch(...ask({ model: 'glimpse', stream: true }));
    expect(moved.headers.get('x-nearsight-reason')).toBe('device_lost');
    expect(await moved.text()).toContain('A cat');
    await before.nim.close();

    const after = await wired({ generate: broken(START, text('A red')), remote: { model: 'meta/llama' } });
    const kept = await after.fetch(...ask({ model: 'glimpse', stream: true }));
    expect(kept.headers.get('x-nearsight-origin')).toBe('local');
    expect(await kept.text()).toContain('"code":"device_lost"');
    expect(after.nim.seen).toEqual([]);
  });

  it('is refused when the request itself is at fault', async () => {
    const { fetch, nim } = await wired();
    expect((await fetch(...ask({ temperature: 9 }))).status).toBe(400);
    expect((await fetch(...ask({ temprature: 1 }))).status).toBe(400);
    expect(nim.seen).toEqual([]);
  });

  it('is refused when the remote has no model for it', async () => {
    const { fetch } = await wired({ generate: failing('unsupported_device') });
    const response = await fetch(...ask({ model: 'glimpse' }));
    expect(await response.json()).toMatchObject({
      error: { code: 'model_not_found', message: expect.stringContaining('remote.model') },
    });
  });
});

describe('what can be answered here', () => {
  it('stays', async () => {
    const { fetch, nim } = await wired();
    const response = await fetch(...ask({ model: 'glimpse', ...picture() }));
    expect(response.headers.get('x-nearsight-origin')).toBe('local');
    expect(nim.seen).toEqual([]);
  });

  it('stays under its aliases, which responses and the list repeat', async () => {
    const { fetch, nim } = await wired({ aliases: { 'meta/llama': 'glimpse', 'meta/other': 'unknown' } });
    const response = await fetch(...ask());
    expect(response.headers.get('x-nearsight-model')).toBe('glimpse');
    expect(await response.json()).toMatchObject({ model: 'meta/llama' });
    const list = (await (await fetch(`${OWNED}/models`)).json()) as { data: { id: string }[] };
    expect(list.data.map(({ id }) => id)).toEqual(['glimpse', 'meta/llama']);
    expect(nim.seen).toEqual([]);
  });

  it('goes to the remote if that comes first, and comes back if that is down', async () => {
    const { fetch, nim } = await wired({ policy: 'remote-first', aliases: { 'meta/llama': 'glimpse' } });
    expect((await fetch(...ask())).headers.get('x-nearsight-origin')).toBe('remote');
    await nim.close();
    const response = await fetch(...ask());
    expect(response.headers.get('x-nearsight-origin')).toBe('local');
    expect(response.headers.get('x-nearsight-reason')).toBe('remote_unavailable');
  });

  it.each(['too-many', 'busy', 'bad-gateway'])('comes back if the remote says %s', async (name) => {
    const { fetch } = await wired({ policy: 'remote-first', aliases: { [`error/${name}`]: 'glimpse' } });
    expect((await fetch(...ask({ model: `error/${name}` }))).headers.get('x-nearsight-origin')).toBe('local');
    const alone = await fetch(...ask({ model: 'error/busy', tools: [] }));
    if (name !== 'busy') expect(alone.status).toBe(503);
  });

  it('does not come back if the remote refuses it', async () => {
    const { fetch } = await wired({ policy: 'remote-first', aliases: { 'error/unauthorized': 'glimpse' } });
    expect((await fetch(...ask({ model: 'error/unauthorized' }))).status).toBe(401);
  });
});

describe('privacy', () => {
  it.each<[string, Wire, HeadersInit]>([
    ['by policy', { policy: 'local-only' }, {}],
    ['by header', { policy: 'remote-first' }, { 'x-nearsight-policy': 'local-only' }],
  ])('local-only lets nothing out, %s', async (_how, wire, headers) => {
    const network = vi.fn(fetch);
    const shim = await wired({ ...wire, generate: failing('unsupported_device'), fetch: network });
    expect((await shim.fetch(...ask({}, { headers }))).status).toBe(404);
    expect((await shim.fetch(...ask({ model: 'glimpse', ...picture() }, { headers }))).status).toBe(503);
    expect((await shim.fetch(...ask({ model: 'glimpse', tools: [{}] }, { headers }))).status).toBe(400);
    expect(network).not.toHaveBeenCalled();
    expect(shim.nim.seen).toEqual([]);
  });

  it("local-only fetches pictures from the page's own origin and listed ones only", async () => {
    vi.stubGlobal('location', { origin: 'https://page.example', href: 'https://page.example/' });
    const allowed: (boolean | undefined)[] = [];
    const generate: ShimOptions['generate'] = async (_request, _signal, may) => {
      for (const origin of ['page', 'listed', 'other']) allowed.push(may?.(new URL(`https://${origin}.example/a.png`)));
      return partsOf(...ANSWER);
    };
    const { fetch } = await wired({ generate, images: { origins: ['https://listed.example'] } });
    await fetch(...ask({ model: 'glimpse' }, { headers: { 'x-nearsight-policy': 'local-only' } }));
    await fetch(...ask({ model: 'glimpse' }));
    vi.unstubAllGlobals();
    expect(allowed).toEqual([true, true, false, undefined, undefined, undefined]);
  });

  it('asks for consent before a picture leaves, and not without one', async () => {
    const consent = vi.fn(() => false);
    const { fetch, nim } = await wired({ remote: { consent } });
    const response = await fetch(...ask(picture()));
    expect(response.status).toBe(403);
    expect(await response.json()).toMatchObject({ error: { code: 'consent_refused' } });
    expect(consent).toHaveBeenCalledWith({
      model: 'meta/llama',
      pictures: 1,
      reason: 'model_not_found',
      url: `${nim.baseURL}/chat/completions`,
    });
    for (const content of ['<img src="x">', [{ type: 'video_url', video_url: { url: 'x' } }]]) {
      expect((await fetch(...ask({ messages: [{ role: 'user', content }] }))).status).toBe(403);
    }
    expect(nim.seen).toEqual([]);
    expect((await fetch(...ask())).status).toBe(200);
    consent.mockReturnValue(true);
    expect((await fetch(...ask(picture()))).status).toBe(200);
  });

  it('sends three headers and the key, and none of what SDKs add', async () => {
    const { fetch, nim } = await wired({ remote: { apiKey: () => KEY } });
    const headers = {
      cookie: 'a=b',
      'x-nearsight-policy': 'local-first',
      'x-custom': '1',
      authorization: 'Bearer other',
    };
    await fetch(...ask({}, { headers }));
    await clientOf(fetch).chat.completions.create({ model: 'm/x', messages: [{ role: 'user', content: 'hi' }] });
    for (const seen of nim.seen) {
      expect(seen.headers).toMatchObject({
        accept: 'application/json',
        authorization: `Bearer ${KEY}`,
        'content-type': 'application/json',
      });
      const transport = [
        'host',
        'connection',
        'content-length',
        'accept-encoding',
        'accept-language',
        'sec-fetch-mode',
      ];
      const more = Object.keys(seen.headers).filter((name) => !transport.includes(name));
      expect(more.toSorted()).toEqual(['accept', 'authorization', 'content-type', 'user-agent']);
      // What is left is the browser's own, here that of Node.
      expect(seen.headers['user-agent']).toBe('node');
    }
  });

  it("passes a client's own key on only to the origin that it was meant for", async () => {
    const { fetch, nim } = await wired();
    const headers = { authorization: `Bearer ${KEY}` };
    await fetch(...ask({}, { headers }));
    expect(nim.seen[0]?.headers.authorization).toBeUndefined();
    const direct = createShim({
      owns: [nim.baseURL],
      model: async () => 'glimpse',
      limits: { requestBytes: 1e6, pictureBytes: 1000, pictures: 3 },
      generate: failing('unsupported_device'),
      remote: { baseURL: nim.baseURL },
    });
    await direct(`${nim.baseURL}/chat/completions`, ask({}, { headers })[1]);
    expect(nim.seen[1]?.headers.authorization).toBe(`Bearer ${KEY}`);
  });

  it('keeps the key out of everything that comes back', async () => {
    const { fetch } = await wired({ remote: { apiKey: 'end of life' } });
    const response = await fetch(...ask({ model: 'error/end-of-life' }));
    expect(JSON.stringify([...response.headers]) + (await response.text())).not.toContain('end of life');
  });
});

describe('dialects', () => {
  const fields = {
    max_completion_tokens: 5,
    top_p: 0.5,
    user: 'me',
    metadata: { a: 'b' },
    n: 1,
    seed: null,
    parallel_tool_calls: true,
    messages: [
      { role: 'developer', content: [{ type: 'text', text: 'Be' }, ' brief.'], name: 'x' },
      {
        role: 'user',
        content: [
          { image_url: PNG },
          { type: 'image_url', image_url: { url: 'https://a.example/b.png', detail: 'low' }, uuid: 'u' },
          { type: 'input_text', text: 'What?' },
        ],
      },
    ],
  };
  const image = (url: string): object => ({ type: 'image_url', image_url: { url } });
  const far = 'https://a.example/b.png';
  const strictMessages = [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: [image(PNG), image(far), { type: 'text', text: 'What?' }] },
  ];

  it.each([
    ['hosted', { model: 'meta/llama', max_tokens: 5, top_p: 0.5, messages: strictMessages }],
    [
      'nim1',
      {
        model: 'meta/llama',
        max_tokens: 5,
        top_p: 0.5,
        user: 'me',
        n: 1,
        parallel_tool_calls: true,
        nvext: {},
        messages: [{ ...strictMessages[0], name: 'x' }, strictMessages[1]],
      },
    ],
    [
      'nim2',
      {
        model: 'meta/llama',
        max_completion_tokens: 5,
        top_p: 0.5,
        user: 'me',
        n: 1,
        parallel_tool_calls: true,
        messages: [
          {
            role: 'system',
            content: [
              { type: 'text', text: 'Be' },
              { type: 'text', text: ' brief.' },
            ],
            name: 'x',
          },
          {
            role: 'user',
            content: [
              image(PNG),
              { type: 'image_url', image_url: { url: far, detail: 'low' } },
              { type: 'text', text: 'What?' },
            ],
          },
        ],
      },
    ],
  ] as const)('%s gets its own words, and accepts them', async (dialect, expected) => {
    const { fetch, nim } = await wired({ remote: { dialect } }, { dialect });
    const response = await fetch(...ask(fields));
    expect(nim.seen[0]?.body).toEqual(expected);
    expect(response.status).toBe(200);
  });

  it.each([
    ['nim1', { top_k: 5, repetition_penalty: 1.1 }, { nvext: { top_k: 5, repetition_penalty: 1.1 } }],
    ['nim2', { nvext: { top_k: 5, repetition_penalty: 1.1 } }, { top_k: 5, repetition_penalty: 1.1 }],
    ['nim2', { max_tokens: 7 }, { max_completion_tokens: 7 }],
    ['nim1', { nvext: { guided_regex: 'a+' } }, { nvext: { guided_regex: 'a+' } }],
    ['nim1', { tools: [{}] }, { tools: [{}] }],
    [
      'hosted',
      { max_tokens: 7, stream: true, stream_options: { include_usage: true } },
      { max_tokens: 7, stream: true },
    ],
  ] as const)('%s: %j', async (dialect, given, expected) => {
    const { fetch, nim } = await wired({ remote: { dialect } }, { dialect });
    expect((await fetch(...ask(given))).status).toBe(200);
    expect(nim.seen[0]?.body).toMatchObject(expected);
  });

  it.each([
    ['hosted', 'tools', { tools: [{}] }],
    ['hosted', 'top_k', { top_k: 5 }],
    ['hosted', 'n', { n: 2 }],
    ['hosted', 'logprobs', { logprobs: true }],
    ['hosted', 'response_format', { response_format: { type: 'json_object' } }],
    ['nim1', 'reasoning_effort', { reasoning_effort: 'high' }],
    ['nim2', 'nvext', { nvext: { guided_regex: 'a+' } }],
  ] as const)('%s: %s would be lost there, so it is refused', async (dialect, param, given) => {
    const { fetch, nim } = await wired({ remote: { dialect } }, { dialect });
    const response = await fetch(...ask(given));
    expect(await response.json()).toMatchObject({ error: { code: 'unsupported_field', param } });
    expect(nim.seen).toEqual([]);
  });

  it.each(['nvidia/neva-22b', 'microsoft/kosmos-2', 'microsoft/phi-3-vision-128k-instruct'])(
    '%s gets tags, at a path of its own',
    async (model) => {
      const { fetch, nim } = await wired();
      expect((await fetch(...ask({ ...fields, model }))).status).toBe(200);
      expect(nim.seen[0]?.path).toBe(`/v1/vlm/${model}`);
      expect(nim.seen[0]?.body).toEqual({
        max_tokens: 5,
        top_p: 0.5,
        messages: [
          { role: 'system', content: 'Be brief.' },
          { role: 'user', content: `<img src="${PNG}" /><img src="https://a.example/b.png" />What?` },
        ],
      });
    },
  );

  it('sends the bytes of a blob: URL, which means nothing elsewhere', async () => {
    const { fetch, nim } = await wired();
    const bytes = Buffer.from(PNG.slice(PNG.indexOf(',') + 1), 'base64');
    const url = URL.createObjectURL(new Blob([bytes]));
    expect((await fetch(...ask(picture(url)))).status).toBe(200);
    expect(nim.seen[0]?.body).toMatchObject({ messages: [{ content: [{}, { image_url: { url: PNG } }] }] });
    URL.revokeObjectURL(url);
    const gone = await fetch(...ask(picture(url)));
    expect(await gone.json()).toMatchObject({
      error: { code: 'unreadable_image', param: 'messages[0].content[1].image_url' },
    });
  });
});

describe('errors of the remote', () => {
  it.each(ERRORS)('$name ($status) keeps its status and gets one envelope', async ({ name, status, ...expected }) => {
    const { fetch } = await wired({ remote: { apiKey: KEY } });
    const response = await fetch(...ask({ model: `error/${name}` }));
    expect(response.status).toBe(status);
    expect(response.statusText).toMatch(/./);
    expect(response.headers.get('content-type')).toBe('application/json');
    expect(response.headers.get('x-nearsight-origin')).toBe('remote');
    expect(response.headers.get('x-should-retry')).toBe(expected.permanent ? 'false' : null);
    const { error } = (await response.json()) as { error: Record<string, unknown> };
    expect(error).toMatchObject({
      message: expected.message,
      code: expected.code,
      type: expect.stringMatching(/_error$/),
    });
    expect(error).toHaveProperty('param');
    if ([429, 503, 529].includes(status)) expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
    if (name === 'offline') expect(response.headers.get('retry-after')).toBe('10800');
  });

  it('are the classes of the openai package', async () => {
    const { fetch } = await wired();
    const create = (model: string): Promise<unknown> =>
      clientOf(fetch).chat.completions.create({ model, messages: [{ role: 'user', content: 'hi' }] });
    await expect(create('error/unauthorized')).rejects.toBeInstanceOf(OpenAI.AuthenticationError);
    await expect(create('error/too-many')).rejects.toBeInstanceOf(OpenAI.RateLimitError);
    await expect(create('error/unknown-path')).rejects.toMatchObject({ status: 404, code: 'not_found' });
  });

  it('a remote that cannot be reached is named, with what to do about it', async () => {
    const { fetch, nim } = await wired();
    await nim.close();
    const response = await fetch(...ask());
    expect(response.status).toBe(502);
    expect(await response.json()).toMatchObject({
      error: { code: 'remote_unavailable', message: expect.stringMatching(/CORS/) },
    });
  });

  it('NVIDIA is known to refuse pages, and the message leads to the proxy', async () => {
    const refusing = vi.fn(() => Promise.reject(new TypeError('Failed to fetch')));
    const { fetch } = await wired({ fetch: refusing, remote: { baseURL: 'https://integrate.api.nvidia.com/v1' } });
    const response = await fetch(...ask());
    expect(await response.json()).toMatchObject({ error: { message: expect.stringContaining('nearsight/proxy') } });
    expect(refusing).toHaveBeenCalledOnce();
  });
});

describe('a queued request', () => {
  it('is waited for', async () => {
    const { fetch, nim } = await wired({ remote: { apiKey: KEY } });
    const response = await fetch(...ask({ model: 'queued/2' }));
    expect(await response.json()).toMatchObject({ choices: [{ message: { content: 'From afar.' } }] });
    expect(nim.seen.map(({ method, path }) => `${method} ${path}`)).toEqual([
      'POST /v1/chat/completions',
      'GET /v1/status/r-1',
      'GET /v1/status/r-0',
    ]);
    expect(nim.seen.every(({ headers }) => headers.authorization === `Bearer ${KEY}`)).toBe(true);
  });

  it('is given up when the caller is gone', async () => {
    const { fetch } = await wired();
    const reason = new Error('enough');
    const caller = new AbortController();
    setTimeout(() => caller.abort(reason), 30);
    await expect(fetch(...ask({ model: 'queued/999' }, { signal: caller.signal }))).rejects.toBe(reason);
  });
});

describe('streams of the remote', () => {
  const whole = STREAMS.filter((stream) => stream.text !== undefined);

  it.each(whole)(
    '$name passes byte for byte, and the openai package reads it',
    async ({ name, chunks, text: said }) => {
      const { fetch } = await wired();
      const response = await fetch(...ask({ model: `stream/${name}`, stream: true }));
      expect(response.headers.get('content-type')).toBe('text/event-stream');
      expect(response.headers.get('x-request-id')).toBe('f3b4');
      const sent = Buffer.concat(chunks.map((chunk) => Buffer.from(chunk)));
      expect(Buffer.from(await response.arrayBuffer()).equals(sent)).toBe(true);
      expect(await readText(fetch, `stream/${name}`)).toBe(said);
    },
  );

  it.each(whole)(
    '$name keeps all but the model when that was asked for by another name',
    async ({ name, text: said }) => {
      const { fetch } = await wired({ generate: failing('unsupported_device'), remote: { model: `stream/${name}` } });
      const body = await (await fetch(...ask({ model: 'glimpse', stream: true }))).text();
      const events = body.split(/\r?\n/).filter((line) => line.startsWith('data:') && !line.includes('[DONE]'));
      for (const event of events)
        expect(JSON.parse(event.slice(5))).toMatchObject({ id: 'chatcmpl-X', model: 'glimpse' });
      expect(await readText(fetch, 'glimpse')).toBe(said);
    },
  );

  it.each(STREAMS.filter((stream) => stream.error))('$name is an error, and no answer', async ({ name, error }) => {
    const { fetch } = await wired();
    const body = await (await fetch(...ask({ model: `stream/${name}`, stream: true }))).text();
    const last = body.split('\n').findLast((line) => line.startsWith('data: {'));
    expect(JSON.parse(last?.slice(6) ?? '')).toMatchObject({
      error: {
        message: expect.stringContaining(error ?? ''),
        type: expect.stringMatching(/_error$/),
        code: expect.stringMatching(/./),
      },
    });
    expect(body).not.toContain('"stop"');
    await expect(readText(fetch, `stream/${name}`)).rejects.toThrow(error);
  });

  it('are stopped at the server when the reader leaves', async () => {
    const { fetch, nim } = await wired();
    const response = await fetch(...ask({ model: 'stream/hang', stream: true }));
    const reader = response.body?.getReader();
    await reader?.read();
    await reader?.cancel();
    await expect.poll(() => nim.seen[0]?.aborted).toBe(true);
  });

  it('are stopped at the server when the caller aborts, with its reason', async () => {
    const { fetch, nim } = await wired();
    const caller = new AbortController();
    const reason = new Error('enough');
    const response = await fetch(...ask({ model: 'stream/hang', stream: true }, { signal: caller.signal }));
    const body = response.text();
    setTimeout(() => caller.abort(reason), 20);
    await expect(body).rejects.toBe(reason);
    await expect.poll(() => nim.seen[0]?.aborted).toBe(true);
  });
});

it('An answer that is being given here is not disturbed by the remote', async () => {
  const { stream } = slowParts(START, text('x'));
  const { fetch, nim } = await wired({ generate: async () => stream });
  const response = await fetch(...ask({ model: 'glimpse', stream: true }));
  await nim.close();
  const reader = response.body?.getReader();
  for (let i = 0; i < 5; i++) expect((await reader?.read())?.done).toBe(false);
  await reader?.cancel();
});

async function readText(fetch: typeof globalThis.fetch, model: string): Promise<string> {
  const messages = [{ role: 'user' as const, content: 'hi' }];
  const stream = await clientOf(fetch).chat.completions.create({ model, messages, stream: true });
  let said = '';
  for await (const chunk of stream) said += chunk.choices[0]?.delta.content ?? '';
  return said;
}
