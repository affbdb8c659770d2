/** How the bodies of intercepted requests are read. */
import { describe, expect, it, vi } from 'vitest';
import type { InterceptOptions } from '../../../src/fetch/request-context.ts';
import { BODY, CHAT, JSON_BODY, makeFetch, NIM, post } from './make-fetch.ts';

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
