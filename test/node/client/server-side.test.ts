/** The built package without a page, as in server-side rendering. Needs `node tools/build.mjs`. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

import { glimpse } from '../../../models/glimpse.ts';
test('importing and creating start nothing; probe() says no, and every other call that it needs a browser page', async () => {
  const { createNearsight } = (await import(new URL('../../../dist/index.js', import.meta.url).href)) as {
    createNearsight: typeof import('../../../src/index.ts').createNearsight;
  };
  const near = createNearsight({ model: 'smolvlm-256m' });
  expect(near.status.value).toEqual({ state: 'idle' });
  expect(await near.debugStats()).toMatchObject({ ports: 0, loaded: null });

  const body = JSON.stringify({ model: 'smolvlm-256m', messages: [{ role: 'user', content: 'hi' }] });
  const response = await near.fetch('https://integrate.api.nvidia.com/v1/chat/completions', { method: 'POST', body });
  expect(response.status).toBe(503);
  expect(response.headers.get('x-should-retry')).toBe('false');
  const refusal = { code: 'unsupported_device', message: expect.stringContaining('needs a browser page') };
  expect(await response.json()).toMatchObject({ error: refusal });
  await expect(near.load()).rejects.toMatchObject(refusal);
  expect(await near.probe()).toEqual({ verdict: 'no', reason: refusal.message });
  expect((await near.fetch('https://integrate.api.nvidia.com/v1/models')).status).toBe(200);
  near.dispose();
});

test('with addresses that are relative to a page as well', async () => {
  const { createNearsight } = (await import(new URL('../../../dist/index.js', import.meta.url).href)) as {
    createNearsight: typeof import('../../../src/index.ts').createNearsight;
  };
  const near = createNearsight({ model: 'smolvlm-256m', assets: '/nearsight/' });
  const refusal = { code: 'unsupported_device', message: expect.stringContaining('needs a browser page') };
  await expect(near.load()).rejects.toMatchObject(refusal);
  expect(await near.probe()).toEqual({ verdict: 'no', reason: refusal.message });
  expect((await near.fetch('https://integrate.api.nvidia.com/v1/models')).status).toBe(200);
  for (const model of [
    { ...glimpse, assets: undefined, baseURL: '/models/' },
    { hub: 'a/b', baseURL: '/hub' },
  ]) {
    const other = createNearsight({ model });
    expect((await other.fetch('https://integrate.api.nvidia.com/v1/models')).status).toBe(200);
  }
});

test('a process ends after a remote has streamed an answer', async () => {
  const chunk = JSON.stringify({ choices: [{ index: 0, delta: { content: 'x'.repeat(1000) }, finish_reason: null }] });
  // Enough of it that the relay yields to the event loop.
  const script = `
    const { createNearsight } = await import(${JSON.stringify(new URL('../../../dist/index.js', import.meta.url).href)});
    const text = ${JSON.stringify(`data: ${chunk}\n\n`)}.repeat(500) + 'data: [DONE]\\n\\n';
    const fetch = async () => new Response(text, { headers: { 'content-type': 'text/event-stream' } });
    const near = createNearsight({ model: 'smolvlm-256m', fetch, remote: { baseURL: 'https://nim.example/v1' } });
    const body = JSON.stringify({ model: 'a/b', stream: true, messages: [{ role: 'user', content: 'hi' }] });
    const answer = await near.fetch('https://integrate.api.nvidia.com/v1/chat/completions', { method: 'POST', body });
    console.log((await answer.text()).endsWith('[DONE]\\n\\n'));`;
  const run = promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { timeout: 20_000 });
  expect((await run).stdout).toBe('true\n');
});
