// The API of the proxy, as the compiler sees it; see public-api.ts.
import { createServer } from 'node:http';
import { createNimProxy, memoryStore, toNodeHandler, type RateStore } from 'nearsight/proxy';

const models = ['meta/llama-3.2-11b-vision-instruct'];

// @ts-expect-error Who may use the key is not optional.
createNimProxy({ apiKey: 'nvapi-…', models });
// @ts-expect-error Nor is which models they may use it for.
createNimProxy({ apiKey: 'nvapi-…', authorize: () => true });
// @ts-expect-error A rate belongs to a client.
createNimProxy({ apiKey: 'nvapi-…', authorize: () => true, models, rateLimit: { requests: 1, seconds: 1 } });

const proxy = createNimProxy({
  apiKey: async () => 'nvapi-…',
  authorize: async (request) => request.headers.has('cookie'),
  models,
  rateLimit: { requests: 20, seconds: 60, client: () => 'somebody', store: memoryStore() },
});

(await proxy(new Request('https://app.example/nim/chat/completions'))) satisfies Response;
// What Node's server takes, though the proxy knows nothing of Node's types.
createServer(toNodeHandler(proxy, 'https://app.example'));

({ take: async () => 0 }) satisfies RateStore;
// @ts-expect-error The wait is in seconds, as a number.
({ take: () => 'a minute' }) satisfies RateStore;
