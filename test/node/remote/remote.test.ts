import { describe, expect, it, vi } from 'vitest';
import { createNearsight } from '../../../src/client/create-nearsight.ts';
import { createFetch } from '../../../src/fetch/intercept.ts';
import type { ErrorCode } from '../../../src/protocol/errors.ts';
import { engineOf, failingAfter, START, text } from '../job-parts.ts';
import {
  ask,
  clientOf,
  failing,
  KEY,
  image,
  INTERCEPTED,
  LIMITS,
  fetchWithRemote,
  type Options,
} from '../with-remote.ts';

describe('a request that cannot be answered here', () => {
  it.each<[ErrorCode, object]>([
    ['model_not_found', {}],
    ['unsupported_field', { model: 'glimpse', tools: [{}] }],
    ['unsupported_field', { model: 'glimpse', response_format: { type: 'json_object' } }],
    ['unsupported_field', { model: 'glimpse', messages: [{ role: 'tool', content: 'x' }] }],
  ])('goes to the remote, and the response has the reason: %s', async (reason, fields) => {
    const { fetch } = await fetchWithRemote({ remote: { dialect: 'nim2', model: 'meta/llama' } });
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
  ])('goes to the remote when the engine fails with %s', async (code) => {
    const { fetch, nim } = await fetchWithRemote({ engine: failing(code), remote: { model: 'meta/llama' } });
    const response = await fetch(...ask({ model: 'glimpse' }));
    expect(response.headers.get('x-nearsight-reason')).toBe(code);
    expect(response.headers.get('x-nearsight-model')).toBe('meta/llama');
    expect(await response.json()).toMatchObject({ model: 'glimpse' });
    expect(nim.seen[0]?.body).toMatchObject({ model: 'meta/llama' });
  });

  it('goes to the remote when it fails before its first token, and not after', async () => {
    const before = await fetchWithRemote({
      engine: engineOf(() => failingAfter(START)),
      remote: { model: 'meta/llama' },
    });
    const moved = await before.fetch(...ask({ model: 'glimpse', stream: true }));
    expect(moved.headers.get('x-nearsight-reason')).toBe('gpu_error');
    expect(await moved.text()).toContain('A cat');
    await before.nim.close();

    const after = await fetchWithRemote({
      engine: engineOf(() => failingAfter(START, text('A red'))),
      remote: { model: 'meta/llama' },
    });
    const kept = await after.fetch(...ask({ model: 'glimpse', stream: true }));
    expect(kept.headers.get('x-nearsight-origin')).toBe('local');
    expect(await kept.text()).toContain('"code":"gpu_error"');
    expect(after.nim.seen).toEqual([]);
  });

  it('is refused when the request itself is at fault', async () => {
    const { fetch, nim } = await fetchWithRemote();
    expect((await fetch(...ask({ temperature: 9 }))).status).toBe(400);
    expect((await fetch(...ask({ temprature: 1 }))).status).toBe(400);
    expect(nim.seen).toEqual([]);
  });

  it('is refused when the remote has no model for it', async () => {
    const { fetch } = await fetchWithRemote({ engine: failing('unsupported_device') });
    const response = await fetch(...ask({ model: 'glimpse' }));
    expect(await response.json()).toMatchObject({
      error: { code: 'unsupported_device', message: expect.stringContaining('remote.model is not set') },
    });
  });
});

describe('a request that can be answered here', () => {
  it('stays here', async () => {
    const { fetch, nim } = await fetchWithRemote();
    const response = await fetch(...ask({ model: 'glimpse', ...image() }));
    expect(response.headers.get('x-nearsight-origin')).toBe('local');
    expect(nim.seen).toEqual([]);
  });

  it('stays when it names an alias, which the response and the list of models repeat', async () => {
    const { fetch, nim } = await fetchWithRemote({ aliases: { 'meta/llama': 'glimpse', 'meta/other': 'unknown' } });
    const response = await fetch(...ask());
    expect(response.headers.get('x-nearsight-model')).toBe('glimpse');
    expect(await response.json()).toMatchObject({ model: 'meta/llama' });
    const list = (await (await fetch(`${INTERCEPTED}/models`)).json()) as { data: { id: string }[] };
    expect(list.data.map(({ id }) => id)).toEqual(['glimpse', 'meta/llama']);
    expect(nim.seen).toEqual([]);
  });

  it('goes to the remote under remote-first, and comes back if the remote is down', async () => {
    const { fetch, nim } = await fetchWithRemote({ policy: 'remote-first', aliases: { 'meta/llama': 'glimpse' } });
    expect((await fetch(...ask())).headers.get('x-nearsight-origin')).toBe('remote');
    await nim.close();
    const response = await fetch(...ask());
    expect(response.headers.get('x-nearsight-origin')).toBe('local');
    expect(response.headers.get('x-nearsight-reason')).toBe('remote_unavailable');
  });

  it.each(['too-many', 'busy', 'bad-gateway', 'unknown-path'])(
    'comes back if the remote answers with the error %s',
    async (name) => {
      const { fetch } = await fetchWithRemote({ policy: 'remote-first', aliases: { [`error/${name}`]: 'glimpse' } });
      expect((await fetch(...ask({ model: `error/${name}` }))).headers.get('x-nearsight-origin')).toBe('local');
      const alone = await fetch(...ask({ model: 'error/busy', tools: [] }));
      if (name !== 'busy') expect(alone.status).toBe(503);
    },
  );

  it('comes back if there is no endpoint at the URL of the remote', async () => {
    const page = vi.fn(
      async () => new Response('<h1>Not found</h1>', { status: 404, headers: { 'content-type': 'text/html' } }),
    );
    const { fetch } = await fetchWithRemote({
      policy: 'remote-first',
      aliases: { 'meta/llama': 'glimpse' },
      fetch: page,
    });
    const response = await fetch(...ask());
    expect(response.headers.get('x-nearsight-origin')).toBe('local');
    expect(response.headers.get('x-nearsight-reason')).toBe('remote_unavailable');
    expect((await fetch(...ask({ model: 'other/model' }))).status).toBe(404);
  });

  it('comes back if apiKey throws, or else reports that error', async () => {
    const apiKey = (): never => {
      throw new Error('No session.');
    };
    const { fetch, nim } = await fetchWithRemote({
      policy: 'remote-first',
      aliases: { 'meta/llama': 'glimpse' },
      remote: { apiKey },
    });
    expect((await fetch(...ask())).headers.get('x-nearsight-reason')).toBe('remote_unavailable');
    const response = await fetch(
      ...ask({ model: 'other/model' }, { headers: { 'x-nearsight-policy': 'local-first' } }),
    );
    expect(await response.json()).toMatchObject({
      error: { code: 'remote_unavailable', message: expect.stringMatching(/^remote\.apiKey failed.*No session\./) },
    });
    expect(nim.seen).toEqual([]);
  });

  it('does not come back if the remote refuses it', async () => {
    const { fetch } = await fetchWithRemote({ policy: 'remote-first', aliases: { 'error/unauthorized': 'glimpse' } });
    expect((await fetch(...ask({ model: 'error/unauthorized' }))).status).toBe(401);
  });
});

describe('privacy', () => {
  it.each<[string, Options, HeadersInit]>([
    ['by policy', { policy: 'local-only' }, {}],
    ['by header', { policy: 'remote-first' }, { 'x-nearsight-policy': 'local-only' }],
  ])('local-only sends nothing to the network, %s', async (_how, options, headers) => {
    const network = vi.fn(fetch);
    const near = await fetchWithRemote({ ...options, engine: failing('unsupported_device'), fetch: network });
    expect((await near.fetch(...ask({}, { headers }))).status).toBe(404);
    expect((await near.fetch(...ask({ model: 'glimpse', ...image() }, { headers }))).status).toBe(503);
    expect((await near.fetch(...ask({ model: 'glimpse', tools: [{}] }, { headers }))).status).toBe(400);
    expect(network).not.toHaveBeenCalled();
    expect(near.nim.seen).toEqual([]);
  });

  it("local-only fetches images from the page's own origin and listed ones only", async () => {
    vi.stubGlobal('location', { origin: 'https://page.example', href: 'https://page.example/' });
    const asked: string[] = [];
    vi.stubGlobal('fetch', async (url: URL) => {
      asked.push(url.hostname);
      return new Response(new Uint8Array(4));
    });
    const { fetch } = await fetchWithRemote({ images: { origins: ['https://listed.example/'] } });
    const headers = { 'x-nearsight-policy': 'local-only' };
    const statuses = async (init: RequestInit): Promise<number[]> => {
      const urls = ['page', 'listed', 'other'].map((name) => `https://${name}.example/a.png`);
      const responses = urls.map((url) => fetch(...ask({ model: 'glimpse', ...image(url) }, init)));
      return (await Promise.all(responses)).map(({ status }) => status);
    };
    expect(await statuses({ headers })).toEqual([200, 200, 400]);
    expect(asked.toSorted()).toEqual(['listed.example', 'page.example']);
    expect(await statuses({})).toEqual([200, 200, 200]);
    vi.unstubAllGlobals();
  });

  it('local-only applies to ask(), too', async () => {
    vi.stubGlobal('location', { origin: 'https://page.example', href: 'https://page.example/' });
    const network = vi.fn(async () => new Response());
    vi.stubGlobal('fetch', network);
    const near = createNearsight({ model: 'smolvlm-256m', policy: 'local-only' });
    const asked = near.ask('https://other.example/a.png', 'What?')[Symbol.asyncIterator]().next();
    await expect(asked).rejects.toMatchObject({ code: 'unreadable_image' });
    vi.unstubAllGlobals();
    expect(network).not.toHaveBeenCalled();
  });

  it('ends after ten minutes if the remote keeps answering 202', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'Date'] });
    const waiting = async (): Promise<Response> => new Response(null, { status: 202, headers: { 'nvcf-reqid': 'a' } });
    const { fetch } = await fetchWithRemote({ fetch: waiting });
    const asked = fetch(...ask());
    await vi.advanceTimersByTimeAsync(601_000);
    vi.useRealTimers();
    const response = await asked;
    expect(response.status).toBe(502);
    expect(await response.json()).toMatchObject({ error: { code: 'remote_unavailable' } });
  });

  it('asks for consent before an image is sent, and not for requests without images', async () => {
    const consent = vi.fn(() => false);
    const { fetch, nim } = await fetchWithRemote({ remote: { consent } });
    const response = await fetch(...ask(image()));
    expect(response.status).toBe(403);
    expect(await response.json()).toMatchObject({ error: { code: 'consent_refused' } });
    expect(consent).toHaveBeenCalledWith({
      model: 'meta/llama',
      images: 1,
      reason: 'model_not_found',
      url: `${nim.baseURL}/chat/completions`,
    });
    const inText = [
      '<img src="x">',
      ['<img src="x">'],
      [{ type: 'text', text: '<img src="x">' }],
      [
        { type: 'text', text: '<im' },
        { type: 'text', text: 'g src="x">' },
      ],
    ];
    for (const content of [...inText, [{ type: 'video_url', video_url: { url: 'x' } }]]) {
      expect((await fetch(...ask({ messages: [{ role: 'user', content }] }))).status).toBe(403);
    }
    consent.mockImplementation(() => {
      throw new Error('no dialog here');
    });
    const failed = await fetch(...ask(image()));
    expect(failed.status).toBe(403);
    expect(await failed.json()).toMatchObject({
      error: { code: 'consent_refused', message: 'remote.consent failed, so nothing was sent: Error: no dialog here' },
    });
    expect(nim.seen).toEqual([]);
    expect((await fetch(...ask())).status).toBe(200);
    consent.mockReturnValue(true);
    expect((await fetch(...ask(image()))).status).toBe(200);
  });

  it('sends three headers and the key, and no headers of SDKs', async () => {
    const { fetch, nim } = await fetchWithRemote({ remote: { apiKey: () => KEY } });
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

  it("passes a client's own key on only to the origin that the client addressed", async () => {
    const { fetch, nim } = await fetchWithRemote();
    const headers = { authorization: `Bearer ${KEY}` };
    await fetch(...ask({}, { headers }));
    expect(nim.seen[0]?.headers.authorization).toBeUndefined();
    const direct = createFetch({
      intercept: [nim.baseURL],
      model: async () => 'glimpse',
      limits: LIMITS,
      engine: failing('unsupported_device'),
      remote: { baseURL: nim.baseURL },
    });
    await direct(`${nim.baseURL}/chat/completions`, ask({}, { headers })[1]);
    expect(nim.seen[1]?.headers.authorization).toBe(`Bearer ${KEY}`);
  });

  it('keeps the key out of responses', async () => {
    const { fetch } = await fetchWithRemote({ remote: { apiKey: 'end of life' } });
    const response = await fetch(...ask({ model: 'error/end-of-life' }));
    expect(JSON.stringify([...response.headers]) + (await response.text())).not.toContain('end of life');
  });
});
