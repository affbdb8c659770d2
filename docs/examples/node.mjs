// Node's own server: `NVIDIA_API_KEY=nvapi-… node docs/examples/node.mjs`, then open http://localhost:3000.
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { env } from 'node:process';
import { createNimProxy, toNodeHandler } from 'nearsight/proxy';

/** Sessions of visitors. Yours come from a database, after a real login. */
const sessions = new Set();

/** @param {string | null | undefined} cookie */
const sessionOf = (cookie) => /(?:^|; )session=([\w-]+)/.exec(cookie ?? '')?.[1] ?? '';

const proxy = createNimProxy({
  apiKey: env.NVIDIA_API_KEY ?? '',
  authorize: (request) => sessions.has(sessionOf(request.headers.get('cookie'))),
  models: ['meta/llama-3.2-11b-vision-instruct'],
  rateLimit: { requests: 20, seconds: 60, client: (request) => sessionOf(request.headers.get('cookie')) },
  // Only to try this against another NIM, such as a container at http://localhost:8000/v1.
  ...(env.NIM_URL && { upstream: { chat: env.NIM_URL, vlm: env.NIM_URL } }),
});
const handle = toNodeHandler(proxy);

const server = createServer((request, response) => {
  if (request.url?.startsWith('/nim/')) return handle(request, response);
  const session = randomUUID();
  sessions.add(session);
  response.setHeader('set-cookie', `session=${session}; HttpOnly; SameSite=Strict; Path=/`);
  response.setHeader('content-type', 'text/html');
  response.end("<p>createNearsight({ …, remote: { baseURL: '/nim', credentials: 'same-origin' } })");
});
server.listen(Number(env.PORT ?? 3000), 'localhost', () => {
  const address = server.address();
  if (typeof address === 'object') console.log(`http://localhost:${address?.port}`);
});
