import { expect, it } from 'vitest';
import { createNimProxy } from '../../../proxy/index.ts';

const json = { 'content-type': 'application/json' };

it.each<[string, string, Record<string, string>]>([
  ['The body must be a JSON object, but it is an array of 1.', '["meta/llama"]', json],
  ["The body must be application/json, but its content-type is 'text/x'.", '{}', { 'content-type': 'text/x' }],
  ["The body has more than 100 bytes (the proxy's maxBytes). Send fewer or smaller images.", ' '.repeat(101), json],
  [
    'Pages of this origin may not use this proxy: its option origins does not list it.',
    '{}',
    { ...json, origin: 'https://evil.example' },
  ],
])('a refusal says: %s', async (message, body, headers) => {
  const proxy = createNimProxy({ apiKey: 'nvapi-', authorize: () => true, models: ['meta/llama'], maxBytes: 100 });
  const request = new Request('https://app.example/nim/chat/completions', { method: 'POST', body, headers });
  expect(await (await proxy(request)).json()).toMatchObject({ error: { message } });
});
