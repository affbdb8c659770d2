import { describe, expect, it, vi } from 'vitest';
import type { ErrorCode } from '../../../src/protocol/errors.ts';
import { engineOf, failingAfter, START, text } from '../job-parts.ts';
import { ask, failing, image, INTERCEPTED, fetchWithRemote } from '../with-remote.ts';

const TOOL = { type: 'function', function: { name: 'f' } };

describe('a request that cannot be answered here', () => {
  it.each<[ErrorCode, object]>([
    ['model_not_found', {}],
    ['unsupported_field', { model: 'glimpse', documents: [{}] }],
    ['unsupported_field', { model: 'glimpse', tools: [TOOL], guided_regex: 'a' }],
    ['unsupported_field', { model: 'glimpse', tools: [{ type: 'custom', custom: { name: 'f' } }] }],
    ['unsupported_field', { model: 'glimpse', response_format: { type: 'structural_tag' } }],
    ['unsupported_field', { model: 'glimpse', messages: [{ role: 'function', content: 'x' }] }],
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

describe('a remote at a path, where there is no page', () => {
  const remote = { baseURL: '/nim', model: 'meta/llama' };

  it.each([
    ['unsupported_device', 'glimpse'],
    ['model_not_found', 'other/model'],
  ])('does not hide why the request was not answered here: %s', async (code, model) => {
    const { fetch } = await fetchWithRemote({ engine: failing('unsupported_device'), remote });
    const message = expect.stringMatching(/\(The remote was not asked, because remote\.baseURL is a path/);
    expect(await (await fetch(...ask({ model }))).json()).toMatchObject({ error: { code, message } });
  });

  it('is unavailable', async () => {
    const first = await fetchWithRemote({ policy: 'remote-first', remote });
    const response = await first.fetch(...ask({ model: 'glimpse' }));
    expect(response.headers.get('x-nearsight-reason')).toBe('remote_unavailable');
    const only = await fetchWithRemote({ policy: () => 'remote', remote });
    const refused = await only.fetch(...ask({ model: 'glimpse' }));
    expect([refused.status, await refused.json()]).toMatchObject([
      502,
      { error: { code: 'remote_unavailable', message: expect.stringContaining('remote.baseURL') } },
    ]);
  });
});

describe('an image that is too large for this device', () => {
  it.each([
    [2000, 200],
    [2_000_000, 400],
  ])('goes to the remote if it fits into a request: %i bytes get status %i', async (bytes, status) => {
    const { fetch, nim } = await fetchWithRemote({ remote: { model: 'meta/llama' } });
    const url = URL.createObjectURL(new Blob([new Uint8Array(bytes)]));
    const response = await fetch(...ask({ model: 'glimpse', ...image(url) }));
    URL.revokeObjectURL(url);
    expect(response.status).toBe(status);
    if (status === 200) expect(nim.seen[0]?.text).toContain('data:image/png;base64,AAAA');
    else expect(await response.text()).toContain('1000000 bytes (limits.requestBytes)');
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
