import OpenAI from 'openai';
import { describe, expect, it, vi } from 'vitest';
import { normaliseError } from '../../../src/remote/normalise-error.ts';
import { ERRORS } from '../../nim/errors.ts';
import { STREAMS } from '../../nim/streams.ts';
import { engineOf, slowParts, START, text } from '../job-parts.ts';
import { ask, clientOf, failing, KEY, fetchWithRemote } from '../with-remote.ts';

describe('errors of the remote', () => {
  it.each(ERRORS)('$name ($status) keeps its status and gets one envelope', async ({ name, status, ...expected }) => {
    const { fetch } = await fetchWithRemote({ remote: { apiKey: KEY } });
    const response = await fetch(...ask({ model: `error/${name}` }));
    expect(response.status).toBe(status);
    expect(response.statusText).toMatch(/./);
    expect(response.headers.get('content-type')).toBe('application/json');
    expect(response.headers.get('x-nearsight-origin')).toBe('remote');
    expect(response.headers.get('x-should-retry')).toBe(expected.permanent ? 'false' : null);
    const { error } = (await response.json()) as { error: Record<string, unknown> };
    expect(error).toMatchObject({
      // Nobody can tell a model that is not there from a path that is not.
      message:
        name === 'unknown-path'
          ? expect.stringMatching(/^404 page not found \(POST http:.*\/chat\/completions: check remote\.baseURL/)
          : expected.message,
      code: expected.code,
      type: expect.stringMatching(/_error$/),
    });
    expect(error).toHaveProperty('param');
    if ([429, 503, 529].includes(status)) expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
    if (name === 'offline') expect(response.headers.get('retry-after')).toBe('10800');
  });

  it('are the classes of the openai package', async () => {
    const { fetch } = await fetchWithRemote();
    const create = (model: string): Promise<unknown> =>
      clientOf(fetch).chat.completions.create({ model, messages: [{ role: 'user', content: 'hi' }] });
    await expect(create('error/unauthorized')).rejects.toBeInstanceOf(OpenAI.AuthenticationError);
    await expect(create('error/too-many')).rejects.toBeInstanceOf(OpenAI.RateLimitError);
    await expect(create('error/unknown-path')).rejects.toMatchObject({ status: 404, code: 'not_found' });
  });

  it('name a remote that cannot be reached, and the possible causes', async () => {
    const { fetch, nim } = await fetchWithRemote();
    await nim.close();
    const response = await fetch(...ask());
    expect(response.status).toBe(502);
    expect(await response.json()).toMatchObject({
      error: { code: 'remote_unavailable', message: expect.stringMatching(/CORS/) },
    });
  });

  it("name the proxy if NVIDIA's servers cannot be reached", async () => {
    const refusing = vi.fn(() => Promise.reject(new TypeError('Failed to fetch')));
    const { fetch } = await fetchWithRemote({
      fetch: refusing,
      remote: { baseURL: 'https://integrate.api.nvidia.com/v1' },
    });
    const response = await fetch(...ask());
    expect(await response.json()).toMatchObject({ error: { message: expect.stringContaining('nearsight/proxy') } });
    expect(refusing).toHaveBeenCalledOnce();
  });
});

describe('an answer that is not streamed', () => {
  const JSON_TYPE = { 'content-type': 'application/json' };

  /** A remote that sends this text, and then breaks off, goes on for ever, or sends nothing more. */
  const sending = (start: string, then: 'breaks' | 'goes on' | 'is silent', status = 200) =>
    vi.fn(async () => {
      const encoder = new TextEncoder();
      const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
        start: (controller) => controller.enqueue(encoder.encode(start)),
        pull(controller) {
          if (then === 'breaks') controller.error(new TypeError('terminated'));
          if (then === 'goes on') controller.enqueue(new Uint8Array(1 << 20).fill(32));
        },
      });
      return new Response(body, { status, statusText: 'Some', headers: JSON_TYPE });
    });

  it.each([
    ['breaks', 'meta/llama', /broke off/],
    ['breaks', 'glimpse', /broke off/],
    ['goes on', 'meta/llama', /more than 33554432 bytes/],
  ] as const)('%s, asked for %s: the remote is unavailable', async (then, model, message) => {
    const fetch = sending('{"choices":[', then);
    const near = await fetchWithRemote({
      fetch,
      engine: failing('unsupported_device'),
      remote: { model: 'meta/llama' },
    });
    const response = await near.fetch(...ask({ model }));
    expect(response.status).toBe(502);
    expect(await response.json()).toMatchObject({
      error: { code: 'remote_unavailable', message: expect.stringMatching(message) },
    });
  });

  it.each([
    ['breaks off', sending('{', 'breaks')],
    ['is a web page', async () => new Response('<!doctype html><title>Sign in</title>')],
    ['is a list', async () => Response.json([])],
  ])('is given here if that of the remote %s', async (_how, fetch) => {
    const near = await fetchWithRemote({ fetch, policy: 'remote-first', aliases: { 'meta/llama': 'glimpse' } });
    const response = await near.fetch(...ask());
    expect(response.headers.get('x-nearsight-origin')).toBe('local');
    expect(response.headers.get('x-nearsight-reason')).toBe('remote_unavailable');
  });

  it('ends with the reason of an abort', async () => {
    const caller = new AbortController();
    const reason = new Error('enough');
    const near = await fetchWithRemote({ fetch: sending('{', 'is silent') });
    const asked = near.fetch(...ask({}, { signal: caller.signal }));
    setTimeout(() => caller.abort(reason), 20);
    await expect(asked).rejects.toBe(reason);
  });

  it.each(['breaks', 'goes on', 'is silent'] as const)(
    'with an error status that %s is reported as far as it came',
    async (then) => {
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
      const near = await fetchWithRemote({ fetch: sending('Engine died.', then, 418) });
      const asked = near.fetch(...ask());
      await vi.advanceTimersByTimeAsync(then === 'is silent' ? 10_000 : 0);
      vi.useRealTimers();
      const response = await asked;
      expect(response.status).toBe(418);
      const { error } = (await response.json()) as { error: { message: string } };
      expect(error.message).toBe('Engine died.');
    },
  );

  it.each(['<style', '<head>', '<', '<a', 'data: ', '{"a":'])(
    'that is an error page of nothing but %s is read in linear time',
    (text) => {
      const began = performance.now();
      normaliseError(502, 'Bad Gateway', text.repeat(40_000));
      expect(performance.now() - began).toBeLessThan(5000);
    },
  );
});

describe('a queued request', () => {
  it('is waited for', async () => {
    const { fetch, nim } = await fetchWithRemote({ remote: { apiKey: KEY } });
    const response = await fetch(...ask({ model: 'queued/2' }));
    expect(await response.json()).toMatchObject({ choices: [{ message: { content: 'From afar.' } }] });
    expect(nim.seen.map(({ method, path }) => `${method} ${path}`)).toEqual([
      'POST /v1/chat/completions',
      'GET /v1/status/r-1',
      'GET /v1/status/r-0',
    ]);
    expect(nim.seen.every(({ headers }) => headers.authorization === `Bearer ${KEY}`)).toBe(true);
  });

  it('is abandoned when the caller aborts', async () => {
    const { fetch, nim } = await fetchWithRemote();
    const reason = new Error('enough');
    const caller = new AbortController();
    const asked = fetch(...ask({ model: 'queued/999' }, { signal: caller.signal }));
    const refused = expect(asked).rejects.toBe(reason);
    await expect.poll(() => nim.seen.length).toBeGreaterThan(1);
    caller.abort(reason);
    await refused;
  });
});

describe('streams of the remote', () => {
  const whole = STREAMS.filter((stream) => stream.text !== undefined);

  it.each(whole)(
    '$name passes byte for byte, and the openai package reads it',
    async ({ name, chunks, text: said }) => {
      const { fetch } = await fetchWithRemote();
      const response = await fetch(...ask({ model: `stream/${name}`, stream: true }));
      expect(response.headers.get('content-type')).toBe('text/event-stream');
      expect(response.headers.get('x-request-id')).toBe('f3b4');
      const sent = Buffer.concat(chunks.map((chunk) => Buffer.from(chunk))).toString();
      // Parsers drop an event without a blank line.
      expect(await response.text()).toBe(name === 'no-last-newline' ? `${sent}\n\n` : sent);
      expect(await readText(fetch, `stream/${name}`)).toBe(said);
    },
  );

  it.each(whole)(
    '$name keeps all but the model when that was asked for by another name',
    async ({ name, text: said }) => {
      const { fetch } = await fetchWithRemote({
        engine: failing('unsupported_device'),
        remote: { model: `stream/${name}` },
      });
      const body = await (await fetch(...ask({ model: 'glimpse', stream: true }))).text();
      const events = body.split(/\r?\n/).filter((line) => line.startsWith('data:') && !line.includes('[DONE]'));
      for (const event of events)
        expect(JSON.parse(event.slice(5))).toMatchObject({ id: 'chatcmpl-X', model: 'glimpse' });
      expect(await readText(fetch, 'glimpse')).toBe(said);
    },
  );

  const early = STREAMS.filter(({ status }) => status !== undefined);
  it.each(early)(
    '$name before any content: it has a status, and another may answer',
    async ({ name, status, error }) => {
      const { fetch } = await fetchWithRemote();
      const request = ask({ model: `stream/${name}`, stream: true });
      const response = await fetch(...request);
      expect(response.status).toBe(status);
      expect(await response.json()).toMatchObject({ error: { message: expect.stringContaining(error ?? '') } });
      const aliases = { [`stream/${name}`]: 'glimpse' };
      const near = await fetchWithRemote({ policy: 'remote-first', aliases });
      const other = await near.fetch(...request);
      // An error of the request itself would be the same elsewhere.
      expect([other.status, other.headers.get('x-nearsight-origin')]).toEqual(
        status === 400 ? [400, 'remote'] : [200, 'local'],
      );
    },
  );

  const late = STREAMS.filter((stream) => stream.error && stream.status === undefined);
  it.each(late)('$name is an error, and no answer', async ({ name, error }) => {
    const { fetch } = await fetchWithRemote();
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
    const { fetch, nim } = await fetchWithRemote();
    const response = await fetch(...ask({ model: 'stream/hang', stream: true }));
    const reader = response.body?.getReader();
    await reader?.read();
    await reader?.cancel();
    await expect.poll(() => nim.seen[0]?.aborted).toBe(true);
  });

  it('are stopped at the server when the caller aborts, with its reason', async () => {
    const { fetch, nim } = await fetchWithRemote();
    const caller = new AbortController();
    const reason = new Error('enough');
    const response = await fetch(...ask({ model: 'stream/hang', stream: true }, { signal: caller.signal }));
    const refused = expect(response.text()).rejects.toBe(reason);
    caller.abort(reason);
    await refused;
    await expect.poll(() => nim.seen[0]?.aborted).toBe(true);
  });
});

it('an answer that has begun here is independent of the remote', async () => {
  const { stream } = slowParts(START, text('x'));
  const { fetch, nim } = await fetchWithRemote({ engine: engineOf(() => stream) });
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
