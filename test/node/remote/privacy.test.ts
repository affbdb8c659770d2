import { describe, expect, it, vi } from 'vitest';
import { createNearsight } from '../../../src/client/create-nearsight.ts';
import { createFetch } from '../../../src/fetch/intercept.ts';
import type { RouteFacts } from '../../../src/fetch/fetch-options.ts';
import { ask, clientOf, failing, KEY, image, LIMITS, fetchWithRemote, PNG, type Options } from '../with-remote.ts';

describe('privacy', () => {
  it.each<[string, Options, HeadersInit]>([
    ['by policy', { policy: 'local-only' }, {}],
    ['by header', { policy: 'remote-first' }, { 'x-nearsight-policy': 'local-only' }],
  ])('local-only sends nothing to the network, %s', async (_how, options, headers) => {
    const network = vi.fn(fetch);
    const near = await fetchWithRemote({ ...options, engine: failing('unsupported_device'), fetch: network });
    expect((await near.fetch(...ask({}, { headers }))).status).toBe(404);
    expect((await near.fetch(...ask({ model: 'glimpse', ...image() }, { headers }))).status).toBe(503);
    expect((await near.fetch(...ask({ model: 'glimpse', documents: [{}] }, { headers }))).status).toBe(400);
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
    // Imported when first needed, which takes real time.
    await import('../../../src/remote/ask-remote.ts');
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

  it('asks for no consent to what cannot be sent', async () => {
    const consent = vi.fn(() => true);
    const { fetch, nim } = await fetchWithRemote({ remote: { consent } });
    const response = await fetch(...ask({ ...image(), reasoning_effort: 'high' }));
    expect(response.status).toBe(400);
    expect(consent).not.toHaveBeenCalled();
    expect(nim.seen).toEqual([]);
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

  it.each<[string, object, object]>([
    ['an image beside the messages', { dialect: 'nim1' }, { image: PNG }],
    ['audio of an earlier answer', { dialect: 'nim2' }, { audio: { id: 'a', data: 'UklGRg==' } }],
    ['a part that has a text as well', { dialect: 'nim2' }, { content: [{ type: 'video_url', text: 'x' }] }],
  ])(
    'counts %s, for consent and for the policy',
    async (_what, options, { image: beside, ...fields }: { image?: string }) => {
      const consent = vi.fn(() => false);
      const policy = vi.fn((facts: RouteFacts) => (facts.images > 0 ? 'refuse' : 'remote'));
      const messages = [{ role: 'assistant', content: 'hi', ...fields }];
      const asked = { messages, ...(beside !== undefined && { image: beside }) };
      const remote = { ...options, model: 'meta/llama', consent };
      for (const model of ['glimpse', 'meta/llama']) {
        const byConsent = await fetchWithRemote({ remote });
        const [url, init] = ask({ model, ...asked });
        expect(await (await byConsent.fetch(url, init)).json()).toMatchObject({ error: { code: 'consent_refused' } });
        const byPolicy = await fetchWithRemote({ remote, policy });
        expect((await byPolicy.fetch(url, init)).status).toBe(400);
        expect([...byConsent.nim.seen, ...byPolicy.nim.seen]).toEqual([]);
        await byConsent.nim.close();
      }
      expect(consent).toHaveBeenCalledWith(expect.objectContaining({ images: 1 }));
      expect(policy).toHaveBeenCalledWith(expect.objectContaining({ images: 1 }));
    },
  );

  it('asks for consent to an image in the text of a refusal, which a remote gets as content', async () => {
    const consent = vi.fn(() => false);
    const { fetch, nim } = await fetchWithRemote({ remote: { consent } });
    const messages = [{ role: 'assistant', content: null, refusal: `<img src="${PNG}">` }];
    const response = await fetch(...ask({ model: 'meta/llama', messages }));
    expect(await response.json()).toMatchObject({ error: { code: 'consent_refused' } });
    expect(nim.seen).toEqual([]);
  });

  it('refuses a text within a text within a text, however deep', async () => {
    const { fetch, nim } = await fetchWithRemote({ remote: {} });
    const depth = 20_000;
    const part = `${'{"text":'.repeat(depth)}"a"${'}'.repeat(depth)}`;
    const body = `{"model":"glimpse","messages":[{"role":"user","content":[${part}]}]}`;
    const [url, init] = ask();
    const response = await fetch(url, { ...init, body });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { param: 'messages[0].content[0].text' } });
    expect(nim.seen).toEqual([]);
  });

  it('asks nobody about text, also in the form of a refusal', async () => {
    const consent = vi.fn(() => false);
    const { fetch } = await fetchWithRemote({ remote: { consent } });
    const content = ['a', { text: 'b' }, { type: 'output_text', text: 'c' }, { type: 'refusal', refusal: 'No.' }];
    expect((await fetch(...ask({ messages: [{ role: 'assistant', content }] }))).status).toBe(200);
    expect(consent).not.toHaveBeenCalled();
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
    // As read from a file.
    const { fetch } = await fetchWithRemote({ remote: { apiKey: 'end of life\n' } });
    const response = await fetch(...ask({ model: 'error/end-of-life' }));
    expect(JSON.stringify([...response.headers]) + (await response.text())).not.toContain('end of life');
  });
});
