/** A nearsight in a page made of stubs, with a fake runtime in place of the worker. */
import { expose } from 'comlink';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { glimpse } from '../../../models/glimpse.ts';
import { idOf } from '../../../src/client/check-spec.ts';
import { createNearsight } from '../../../src/index.ts';
import type { LoadRequest } from '../../../src/protocol/calls.ts';
import { makeRuntime } from '../host/fake-runtime.ts';

const workers: string[] = [];
const probed: LoadRequest[] = [];

function makeWorker(url: string): MessagePort {
  workers.push(url);
  const { port1, port2 } = new MessageChannel();
  const probe = async (request: LoadRequest) => {
    probed.push(request);
    return { verdict: 'yes' as const, reason: 'It can.' };
  };
  expose(makeRuntime({ probe }), port2);
  return Object.assign(port1, { terminate: () => port2.close() });
}

beforeEach(() => {
  workers.length = probed.length = 0;
  vi.stubGlobal('isSecureContext', true);
  vi.stubGlobal('location', { href: 'https://page.example/app/' });
  vi.stubGlobal('navigator', { locks: { request: () => new Promise(() => {}) } });
  vi.stubGlobal('Worker', function (url: string) {
    return makeWorker(url);
  });
});

afterEach(() => vi.unstubAllGlobals());

function policyViolation(fields: object): Event {
  return Object.assign(new Event('securitypolicyviolation'), { disposition: 'enforce', sample: '', ...fields });
}

test('the worker and its files are taken from the folder that assets names', async () => {
  await createNearsight({ model: glimpse, assets: '/near/' }).probe();
  expect(workers).toEqual(['https://page.example/near/worker.js']);
  expect(probed[0]?.assets).toEqual({ ort: 'https://page.example/near/ort/' });
});

test('probe() takes another model, and refuses a value that is not a model', async () => {
  const { probe } = createNearsight({ model: glimpse });
  expect(await probe()).toMatchObject({ verdict: 'yes' });
  await probe({ ...glimpse, id: 'other' });
  await probe('smolvlm-256m');
  expect(probed.map(({ model }) => idOf(model))).toEqual(['glimpse', 'other', 'smolvlm-256m']);
  await expect(probe('')).rejects.toMatchObject({ code: 'invalid_request', param: 'model' });
  await expect(probe({ id: 'x' } as never)).rejects.toMatchObject({ code: 'invalid_request', param: 'model' });
  await expect(probe('nope')).rejects.toMatchObject({ code: 'model_not_found' });
});

test('a worker that the browser does not construct rejects load() and probe() with load_failed', async () => {
  vi.stubGlobal('Worker', function () {
    throw new DOMException('It is of another origin.', 'SecurityError');
  });
  const near = createNearsight({ model: glimpse });
  const refused = {
    name: 'NearsightError',
    code: 'load_failed',
    message: expect.stringContaining('of another origin'),
  };
  await expect(near.probe()).rejects.toMatchObject(refused);
  await expect(near.load()).rejects.toMatchObject(refused);
  expect(near.status.value).toMatchObject({ state: 'failed', error: refused });
});

test.each<[string, object, RegExp]>([
  ['without Worker', { Worker: undefined }, /\(\w+\) no Worker can be started/],
  ['that is not secure', { isSecureContext: false }, /not a secure context.*https:/],
  ['with an opaque origin', { origin: 'null' }, /origin here is opaque.*allow-same-origin/],
])(
  'in a context %s probe() says no, every other call is refused, and nothing is started',
  async (_, globals, reason) => {
    for (const [name, value] of Object.entries(globals)) vi.stubGlobal(name, value);
    const request = vi.spyOn(globalThis, 'fetch');
    const near = createNearsight({ model: glimpse });
    const refused = { code: 'unsupported_device', message: expect.stringMatching(reason) };
    expect(await near.probe()).toEqual({ verdict: 'no', reason: refused.message });
    await expect(near.load()).rejects.toMatchObject(refused);
    const answer = near.ask(new Blob(['']), 'What?')[Symbol.asyncIterator]();
    await expect(answer.next()).rejects.toMatchObject(refused);
    const body = JSON.stringify({ model: 'glimpse', messages: [{ role: 'user', content: 'Who?' }] });
    const response = await near.fetch('https://integrate.api.nvidia.com/v1/chat/completions', { method: 'POST', body });
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({ error: refused });
    expect([workers, request.mock.calls]).toEqual([[], []]);
    request.mockRestore();
  },
);

test('under Trusted Types the URL that assets names is made by a policy called nearsight, created once', async () => {
  const createPolicy = vi.fn((_name: string, rules: { createScriptURL(url: string): string }) => ({
    createScriptURL: (url: string) => `trusted ${rules.createScriptURL(url)}`,
  }));
  vi.stubGlobal('trustedTypes', { createPolicy });
  // Another copy of the modules: a thread keeps its policy.
  vi.resetModules();
  const fresh = await import('../../../src/index.ts');
  await fresh.createNearsight({ model: glimpse, assets: '/near/' }).probe();
  await fresh.createNearsight({ model: glimpse, assets: '/other/' }).probe();
  expect(workers).toEqual(['/near/', '/other/'].map((folder) => `trusted https://page.example${folder}worker.js`));
  expect(createPolicy.mock.calls.map(([name]) => name)).toEqual(['nearsight']);
});

test('a worker that the content security policy forbids is a verdict, in whichever order error and event come', async () => {
  for (const late of [false, true]) {
    const events = new EventTarget();
    vi.stubGlobal('addEventListener', events.addEventListener.bind(events));
    vi.stubGlobal('Worker', function () {
      const violation = policyViolation({ effectiveDirective: 'worker-src' });
      if (late) setTimeout(() => events.dispatchEvent(violation), 10);
      else events.dispatchEvent(violation);
      throw new DOMException('No.', 'SecurityError');
    });
    const near = createNearsight({ model: glimpse });
    const message = expect.stringContaining("Allow it: worker-src 'self'");
    expect(await near.probe()).toEqual({ verdict: 'no', reason: message });
    await expect(near.load()).rejects.toMatchObject({ code: 'unsupported_device', message });
  }
});

test.each([
  { disposition: 'report', effectiveDirective: 'worker-src' },
  { effectiveDirective: 'require-trusted-types-for', sample: 'Element innerHTML|<b>' },
  { effectiveDirective: 'trusted-types', sample: 'other' },
  { effectiveDirective: 'img-src' },
])('a violation that does not concern the worker is not blamed: %o', async (fields) => {
  const events = new EventTarget();
  vi.stubGlobal('addEventListener', events.addEventListener.bind(events));
  vi.stubGlobal('Worker', function () {
    events.dispatchEvent(policyViolation(fields));
    throw new DOMException('No.', 'SecurityError');
  });
  await expect(createNearsight({ model: glimpse }).load()).rejects.toMatchObject({ code: 'load_failed' });
});

test('load() may be a listener: the event is no options', async () => {
  expect(await createNearsight({ model: glimpse }).load(new Event('click') as never)).toMatchObject({ model: 'fake' });
});

test('after dispose() no remote is asked, and every call rejects', async () => {
  const network = vi.fn(async () => new Response());
  const near = createNearsight({
    model: glimpse,
    policy: 'remote-first',
    remote: { baseURL: 'https://nim.example/v1', model: 'a/b' },
    fetch: network,
  });
  await near.load();
  near.dispose();
  const disposed = { code: 'disposed', status: 503 };
  const nim = 'https://integrate.api.nvidia.com/v1';
  for (const model of ['glimpse', 'meta/llama']) {
    const body = JSON.stringify({ model, messages: [{ role: 'user', content: 'Who?' }] });
    const response = await near.fetch(`${nim}/chat/completions`, { method: 'POST', body });
    expect([response.status, await response.json()]).toMatchObject([503, { error: { code: 'disposed' } }]);
  }
  expect((await near.fetch(`${nim}/models`)).status).toBe(503);
  for (const call of [near.load, near.probe, near.forget, near.debugStats]) {
    await expect(call()).rejects.toMatchObject(disposed);
  }
  expect(network).not.toHaveBeenCalled();
});

test('dispose() ends what a remote is asked: nothing is sent after a late consent, and a stream ends', async () => {
  const sent: (AbortSignal | null | undefined)[] = [];
  let agree = (_yes: boolean): void => {};
  const near = createNearsight({
    model: glimpse,
    policy: 'remote-first',
    remote: {
      baseURL: 'https://nim.example/v1',
      model: 'a/b',
      consent: () => new Promise<boolean>((resolve) => (agree = resolve)),
    },
    fetch: async (_url, init) => {
      sent.push(init?.signal);
      // As the native one does, it never ends by itself.
      const start = (controller: ReadableStreamDefaultController): void => {
        controller.enqueue(new TextEncoder().encode('data: {"choices":[{"delta":{"content":"A"}}]}\n\n'));
        init?.signal?.addEventListener('abort', () => controller.error(init.signal?.reason));
      };
      return new Response(new ReadableStream({ start }), { headers: { 'content-type': 'text/event-stream' } });
    },
  });
  const post = (content: unknown): Promise<Response> =>
    near.fetch('https://integrate.api.nvidia.com/v1/chat/completions', {
      method: 'POST',
      body: JSON.stringify({ model: 'glimpse', stream: true, messages: [{ role: 'user', content }] }),
    });
  const streamed = await post('Who?');
  const ended = expect(streamed.text()).rejects.toMatchObject({ code: 'disposed' });
  const url = 'data:image/png;base64,AAAA';
  const asked = post([{ type: 'image_url', image_url: { url } }]);
  const before = agree;
  await expect.poll(() => agree === before).toBe(false);
  near.dispose();
  expect((await asked).status).toBe(503);
  agree(true);
  await new Promise((resolve) => setTimeout(resolve, 50));
  await ended;
  expect(sent).toHaveLength(1);
  expect(sent[0]?.aborted).toBe(true);
});

test('forget() and debugStats() reach the loaded worker, and do nothing without one', async () => {
  const near = createNearsight({ model: glimpse });
  expect(await near.debugStats()).toMatchObject({ loaded: null });
  await near.forget();
  expect(workers).toEqual([]);
  expect(await near.load()).toMatchObject({ model: 'fake' });
  expect(await near.debugStats()).toMatchObject({ loaded: 'fake' });
  await near.forget();
  near.dispose();
});
