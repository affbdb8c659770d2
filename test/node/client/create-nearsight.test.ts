/** A nearsight in a page made of stubs, with a fake runtime in place of the worker. */
import { expose } from 'comlink';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { glimpse } from '../../../models/glimpse.ts';
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
  expect(probed.map(({ spec }) => spec.id)).toEqual(['glimpse', 'other', 'smolvlm-256m']);
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
