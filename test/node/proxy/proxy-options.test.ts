/** The options of a proxy: none that is misspelt or of a wrong type may be ignored. */
import { expect, it, vi } from 'vitest';
import { createNimProxy, type NimProxyOptions } from '../../../proxy/index.ts';

const NEEDED = { apiKey: 'key', authorize: () => true, models: ['a/b'] };

const client = (): string => 'a';

it.each([
  ['apiKey', undefined, 'missing'],
  ['apiKey', '', 'empty'],
  ['authorize', undefined, 'missing'],
  ['models', undefined, 'missing'],
  ['models', [], 'an array of 0'],
  ['models', 'meta/llama', 'a string'],
  ['origins', 'https://app.example.com', 'a string'],
  ['origins[0]', ['app.example'], "'app.example'"],
  ['maxBytes', '25mb', 'a string'],
  ['rateLimit.requests', { seconds: 60, client }, 'missing'],
  ['rateLimit.client', { requests: 1, seconds: 60 }, 'missing'],
  ['rateLimit.seconds', { requests: 1, seconds: NaN, client }, 'NaN'],
  ['rateLimit.store', { requests: 1, seconds: 60, client, store: {} }, 'an object'],
  ['upstream.vlm', { chat: 'https://nim.example/v1' }, 'missing'],
  ['upstream.chat', { chat: '/v1', vlm: 'https://nim.example/v1' }, "'/v1'"],
])('%s must not be %o', (param, value, actual) => {
  const name = /\w+/.exec(param)?.[0] ?? '';
  expect(() => createNimProxy({ ...NEEDED, [name]: value })).toThrow(
    expect.objectContaining({ param, message: expect.stringContaining(`but it is ${actual}.`) }),
  );
});

it.each<[string, object]>([
  ['ratelimit', { ratelimit: { requests: 1, seconds: 60, client } }],
  ['rateLimit.request', { rateLimit: { request: 1, seconds: 60, client } }],
])('%s does not exist', (param, misspelt) => {
  expect(() => createNimProxy({ ...NEEDED, ...misspelt } satisfies NimProxyOptions)).toThrow(
    expect.objectContaining({ param, message: expect.stringContaining(`There is no option ${param}.`) }),
  );
});

it.each([
  ['https://app.example/', 'https://app.example', 200],
  ['https://APP.example:443/nim', 'https://app.example', 200],
  ['capacitor://localhost', 'capacitor://localhost', 200],
  ['https://app.example.com', 'https://app.example', 403],
])('origins are compared, not addresses: %s and %s', async (listed, origin, status) => {
  const upstream = vi.spyOn(globalThis, 'fetch').mockResolvedValue(Response.json({}));
  const proxy = createNimProxy({ ...NEEDED, origins: [listed] });
  const init = { method: 'POST', headers: { origin, 'content-type': 'application/json' }, body: '{"model":"a/b"}' };
  expect((await proxy(new Request('https://proxy.example/nim/chat/completions', init))).status).toBe(status);
  upstream.mockRestore();
});
