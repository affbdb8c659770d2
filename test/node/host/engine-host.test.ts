/** The owner of a worker, with a runtime in the same thread in place of the worker. */
import { expose } from 'comlink';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { EngineHost } from '../../../src/host/engine-host.ts';
import { NearsightError } from '../../../src/protocol/errors.ts';
import type { Runtime } from '../../../src/protocol/runtime-calls.ts';
import { FACTS, makeRuntime, NOT_CLONEABLE, REQUEST } from './fake-runtime.ts';

const never = new AbortController().signal;
const notStarted = async (): Promise<NearsightError> => new NearsightError('load_failed', 'It did not start.');
const unhandled = vi.fn();
const hosts: EngineHost[] = [];

function start(changes?: Partial<Runtime>) {
  const { port1, port2 } = new MessageChannel();
  const runtime = makeRuntime(changes);
  expose(runtime, port2);
  const terminate = vi.fn(() => port2.close());
  const worker = Object.assign(port1, { terminate }) as unknown as Worker;
  const host = new EngineHost(worker, notStarted);
  hosts.push(host);
  return { host, runtime, worker, terminate };
}

beforeEach(() => {
  // The lock is never released: the worker does not die by itself.
  vi.stubGlobal('navigator', { locks: { request: () => new Promise(() => {}) } });
  process.on('unhandledRejection', unhandled);
});

afterEach(async () => {
  vi.useRealTimers();
  for (const host of hosts.splice(0)) host.stop(new NearsightError('aborted', 'The test is over.'));
  await new Promise((resolve) => setTimeout(resolve));
  process.off('unhandledRejection', unhandled);
  vi.unstubAllGlobals();
  expect(unhandled).not.toHaveBeenCalled();
});

test('a worker lives on after a load and a probe', async () => {
  const { host } = start();
  expect(await host.load(REQUEST, () => {}, never)).toEqual(FACTS);
  expect(await host.probe(REQUEST)).toMatchObject({ verdict: 'yes' });
  expect(host.dead.aborted).toBe(false);
});

test('a load that fails, is aborted, or loses its model later ends the worker with the reason', async () => {
  const failing = start();
  const failed = failing.host.load({ ...REQUEST, ...NOT_CLONEABLE }, () => {}, never);
  await expect(failed).rejects.toMatchObject({ code: 'internal' });
  expect(failing.host.dead.reason).toMatchObject({ code: 'internal' });

  const aborted = start();
  await expect(aborted.host.load(REQUEST, () => {}, AbortSignal.abort())).rejects.toMatchObject({ code: 'aborted' });

  const losing = start();
  await losing.host.load(REQUEST, () => {}, never);
  losing.runtime.lose(new NearsightError('device_lost', 'The GPU is gone.'));
  await expect.poll(() => losing.host.dead.reason).toMatchObject({ code: 'device_lost' });
  for (const { terminate } of [failing, aborted, losing]) expect(terminate).toHaveBeenCalledOnce();
});

test('a worker that is stopped is terminated once and rejects every call with the first reason', async () => {
  const { host, terminate } = start();
  const reason = new NearsightError('aborted', 'It was stopped.');
  const loading = host.load(REQUEST, () => {}, never);
  const probing = host.probe(REQUEST);
  host.stop(reason);
  host.stop(new NearsightError('disposed', 'Again.'));
  await expect(loading).rejects.toBe(reason);
  await expect(probing).rejects.toBe(reason);
  expect(terminate).toHaveBeenCalledOnce();
});

test('a script that does not run ends with the error for that; an error in it is a crash', async () => {
  const missing = start();
  const call = missing.host.client.call((runtime) => runtime.debugStats());
  missing.worker.onerror?.(new Event('error') as ErrorEvent);
  await expect(call).rejects.toMatchObject({ code: 'load_failed', message: 'It did not start.' });
  const { host, worker } = start();
  worker.onerror?.(Object.assign(new Event('error'), { message: 'oops' }) as ErrorEvent);
  expect(host.dead.reason).toMatchObject({ code: 'worker_crashed', message: expect.stringContaining('oops') });
});

test.each(['load', 'probe'] as const)('a worker that stops answering during a %s is stopped', async (what) => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  const silent = (): Promise<never> => new Promise(() => {});
  let begin = (): void => {};
  const begun = new Promise<void>((resolve) => (begin = resolve));
  const { host } = start({ debugStats: silent, probe: () => (begin(), silent()), load: () => begin() });
  const call = what === 'load' ? host.load(REQUEST, () => {}, never) : host.probe(REQUEST);
  const rejected = expect(call).rejects.toMatchObject({ code: 'worker_crashed' });
  // By then there is a heartbeat: it starts after the handshake, before the call.
  await begun;
  await vi.advanceTimersByTimeAsync(25_000);
  expect(host.dead.aborted).toBe(false);
  await vi.advanceTimersByTimeAsync(5000);
  await rejected;
  expect(host.hung).toBe(true);
});

test('a worker that hangs while it starts a thread is stopped in less than 3 s; one whose threads start is not', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const { host, worker } = start();
  const post = (thread: number, state: string): boolean =>
    worker.dispatchEvent(new MessageEvent('message', { data: { thread, state } }));
  post(0, 'starting');
  post(1, 'starting');
  post(0, 'started');
  vi.advanceTimersByTime(2000);
  post(1, 'started');
  vi.advanceTimersByTime(60_000);
  expect(host.dead.aborted).toBe(false);
  post(2, 'starting');
  vi.advanceTimersByTime(3000);
  expect(host.dead.reason).toMatchObject({ code: 'worker_crashed', message: expect.stringContaining('thread') });
  expect(host.hung).toBe(true);
  vi.useRealTimers();
});

test('where locks are denied, a worker that answers nothing for five minutes is dead', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  vi.stubGlobal('navigator', {});
  let alive = true;
  const { debugStats } = makeRuntime();
  const { host } = start({
    handshake: async () => false,
    debugStats: () => (alive ? debugStats() : new Promise(() => {})),
  });
  expect(await host.load(REQUEST, () => {}, never)).toEqual(FACTS);
  const minutes = async (count: number): Promise<void> => {
    for (let beat = 0; beat < count * 12; beat++) {
      await vi.advanceTimersByTimeAsync(5000);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  };
  await minutes(6);
  expect(host.dead.aborted).toBe(false);
  alive = false;
  await minutes(6);
  expect(host.dead.reason).toMatchObject({ code: 'worker_crashed' });
  // The session does not take it for a load that another worker may do.
  expect(host.hung).toBe(false);
});

test('a worker whose script does not run is not a crash; one whose script throws is', async () => {
  for (const [event, code] of [
    [new Event('error'), 'load_failed'],
    [Object.assign(new Event('error'), { message: 'Uncaught Error: broken' }), 'worker_crashed'],
  ] as const) {
    const { host, worker } = start({ handshake: () => new Promise(() => {}) });
    worker.onerror?.(event as ErrorEvent);
    await expect.poll(() => host.dead.reason).toMatchObject({ code });
  }
});

test('a slow probe is waited for while the worker answers the heartbeat', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  let answer = (): void => {};
  const probe = new Promise<{ verdict: 'yes'; reason: string }>((resolve) => {
    answer = () => resolve({ verdict: 'yes', reason: 'It can.' });
  });
  const { host } = start({ probe: () => probe });
  const probing = host.probe(REQUEST);
  for (let beat = 0; beat < 10; beat++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    await vi.advanceTimersByTimeAsync(5000);
  }
  answer();
  expect(await probing).toMatchObject({ verdict: 'yes' });
});
