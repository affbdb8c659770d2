/** The examples of docs/remote.md, run unchanged against a stand-in for NIM. They need the built package. */
import { spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'vite';
import { afterEach, beforeEach, expect, it } from 'vitest';
import worker from '../../../docs/examples/worker.mjs';
import { startNim, type Nim } from '../../nim/server.ts';

const KEY = 'nvapi-of-the-example';
const BODY = JSON.stringify({
  model: 'meta/llama-3.2-11b-vision-instruct',
  messages: [{ role: 'user', content: 'hi' }],
});
const JSON_TYPE = { 'content-type': 'application/json' };

let nim: Nim;
beforeEach(async () => {
  nim = await startNim({ key: KEY });
});
afterEach(() => nim.close());

it('Node: accepts a request with a session cookie, and refuses one without', async () => {
  const env = { ...process.env, NVIDIA_API_KEY: KEY, NIM_URL: nim.baseURL, PORT: '0' };
  const child = spawn(process.execPath, ['docs/examples/node.mjs'], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    // It prints where it listens.
    const [line] = await once(child.stdout, 'data');
    const origin = String(line).trim();
    const cookie = (await fetch(origin)).headers.get('set-cookie')?.split(';')[0] ?? '';
    const ask = (headers: Record<string, string>): Promise<Response> =>
      fetch(`${origin}/nim/chat/completions`, { method: 'POST', body: BODY, headers: { ...JSON_TYPE, ...headers } });
    expect((await ask({})).status).toBe(401);
    expect(await (await ask({ cookie })).json()).toMatchObject({ choices: [{ message: { content: 'From afar.' } }] });
  } finally {
    child.kill();
  }
});

it('Workers: accepts a signed cookie, and refuses a missing or forged one', async () => {
  const secret = 'secret-of-the-log-in';
  const sign = (name: string): string => `${name}.${createHmac('sha256', secret).update(name).digest('hex')}`;
  const env = { NVIDIA_API_KEY: KEY, SESSION_SECRET: secret, NIM_URL: nim.baseURL };
  const ask = (cookie: string): Promise<Response> =>
    worker.fetch(
      new Request('https://proxy.example/nim/chat/completions', {
        method: 'POST',
        body: BODY,
        headers: { ...JSON_TYPE, cookie, origin: 'https://app.example' },
      }),
      env,
    );
  expect((await ask('')).status).toBe(401);
  expect((await ask(`session=${sign('ann').replace('ann', 'bob')}`)).status).toBe(401);
  const response = await ask(`a=b; session=${sign('ann')}`);
  expect(response.status).toBe(200);
  expect(response.headers.get('access-control-allow-origin')).toBe('https://app.example');
});

it('Vite: relays requests of its pages', async () => {
  Object.assign(process.env, { NVIDIA_API_KEY: KEY, NIM_URL: nim.baseURL });
  const server = await createServer({
    configFile: 'docs/examples/vite.config.mjs',
    server: { port: 0 },
    logLevel: 'error',
  });
  try {
    await server.listen();
    const url = new URL('/nim/chat/completions', server.resolvedUrls?.local[0]);
    const response = await fetch(url, { method: 'POST', body: BODY, headers: JSON_TYPE });
    expect(response.status).toBe(200);
  } finally {
    await server.close();
  }
});
