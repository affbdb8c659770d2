// size: all calls in all states, and what depends on their order
/** Every call of a session in every state, in pairs, with a fake worker. */
import { describe, expect, test, vi } from 'vitest';
import type { Session } from '../../../src/host/session.ts';
import { NearsightError } from '../../../src/protocol/errors.ts';
import type { ChatJob, Part } from '../../../src/protocol/job.ts';
import { FACTS, makeSession, STATS } from './fake-host.ts';
import { ANSWER } from '../job-parts.ts';

const JOB = {} as ChatJob;

type Made = ReturnType<typeof makeSession>;

/** Resolves when all that needs no release has happened. */
const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));

const STATES: Record<string, (made: Made) => Promise<void> | void> = {
  idle: () => {},
  // Its worker is being started.
  starting: ({ session }) => void session.open().catch(() => {}),
  loading: async ({ session }) => {
    session.open().catch(() => {});
    await settle();
  },
  ready: async ({ session, hold, release }) => {
    const opening = session.open();
    release();
    await opening;
    hold();
  },
  failed: async ({ session, startEngine }) => {
    startEngine.mockRejectedValueOnce(new NearsightError('load_failed', 'It is not there.'));
    await session.open().catch(() => {});
  },
  disposed: ({ session }) => session.dispose(),
};

const CALLS: Record<string, (session: Session) => unknown> = {
  load: async (session) => (await session.open()).facts,
  request: async (session) => {
    const parts: Part[] = [];
    const reader = await session.generate(Promise.resolve(JOB));
    for (let next = await reader.read(); !next.done; next = await reader.read()) parts.push(next.value);
    return parts;
  },
  probe: (session) => session.probe(),
  plainCall: async (session) => session.client?.call((runtime) => runtime.debugStats()),
  unload: (session) => session.unload(),
  dispose: (session) => session.dispose(),
};

const RESULTS: Record<string, unknown> = {
  load: FACTS,
  request: ANSWER,
  probe: { verdict: 'yes', reason: 'It can.' },
  plainCall: STATS,
  unload: undefined,
  dispose: undefined,
};

const live = (state: string): boolean => state === 'loading' || state === 'ready';

/** The state after a call, by the table of `Session`. */
function next(state: string, call: string): string {
  if (state === 'disposed' || call === 'dispose') return 'disposed';
  if (call === 'unload') return state === 'failed' ? 'failed' : 'idle';
  if (call !== 'load' && call !== 'request') return state;
  return state === 'idle' || state === 'failed' ? 'starting' : state;
}

/** What a call returns by the table of `Session`: a code, or its result. `then`: the call that follows at once. */
function outcome(state: string, call: string, then?: string): unknown {
  const asks = call === 'load' || call === 'request' || call === 'probe' || call === 'plainCall';
  if (state === 'disposed' && asks) return 'disposed';
  if (call === 'plainCall' && !live(state)) return undefined;
  const reason = { unload: 'aborted', dispose: 'disposed' }[then ?? ''];
  if (!reason) return RESULTS[call];
  if (call === 'load' && state === 'ready') return FACTS;
  if (call === 'load' || call === 'request') return reason;
  // A probe that has just begun asks a worker of its own.
  if (call === 'probe') return reason === 'disposed' ? reason : RESULTS[call];
  return live(state) && call === 'plainCall' ? reason : RESULTS[call];
}

describe.each(Object.keys(STATES))('when %s,', (state) => {
  const names = Object.keys(CALLS);
  test.each(names.flatMap((first) => names.map((second) => [first, second])))('%s, then %s', async (first, second) => {
    const made = makeSession();
    made.hold();
    await STATES[state]!(made);
    const results = [first, second].map(async (name) => {
      try {
        return await CALLS[name]!(made.session);
      } catch (error) {
        return (error as NearsightError).code;
      }
    });
    await settle();
    made.release();
    const between = next(state, first);
    expect(await Promise.all(results)).toEqual([outcome(state, first, second), outcome(between, second)]);
    await settle();
    const last = next(between, second);
    const settled = last === 'starting' || last === 'loading' ? 'ready' : last;
    expect(made.status.value.state).toBe(settled);
    expect(made.hosts.filter(({ dead }) => !dead.aborted)).toHaveLength(settled === 'ready' ? 1 : 0);
  });
});

test('load, unload, load, as in React.StrictMode: the first load ends, the second one is ready', async () => {
  const { session, states, hosts } = makeSession();
  const first = session.open();
  session.unload();
  const second = session.open();
  await expect(first).rejects.toMatchObject({ code: 'aborted' });
  expect((await second).facts).toBe(FACTS);
  expect(states).toEqual(['idle', 'ready']);
  expect(hosts.filter(({ dead }) => !dead.aborted)).toHaveLength(1);
});

test('unload ends a load whose request or worker never comes', async () => {
  for (const part of ['request', 'startEngine'] as const) {
    const made = makeSession();
    made[part].mockReturnValueOnce(new Promise<never>(() => {}));
    const opening = made.session.open();
    await settle();
    made.session.unload();
    await expect(opening).rejects.toMatchObject({ code: 'aborted' });
    expect((await made.session.open()).facts).toBe(FACTS);
  }
});

test('progress that arrives after the end of a load is ignored', async () => {
  const { session, hosts, states, hold } = makeSession();
  hold();
  session.open().catch(() => {});
  await settle();
  hosts[0]!.part!({ state: 'downloading', loadedBytes: 1, totalBytes: 2 });
  session.unload();
  hosts[0]!.part!({ state: 'preparing', done: 1, of: 2 });
  expect(states).toEqual(['idle', 'downloading', 'idle']);
});

test('a load that no caller waits for ends, and the next one starts its own worker', async () => {
  const { session, hosts, hold, release } = makeSession();
  hold();
  const [one, other] = [new AbortController(), new AbortController()];
  const calls = [session.open(one.signal), session.open(other.signal)];
  await settle();
  one.abort(new Error('one'));
  await expect(calls[0]).rejects.toThrow('one');
  expect(hosts[0]!.dead.aborted).toBe(false);
  other.abort(new Error('other'));
  await expect(calls[1]).rejects.toThrow('other');
  expect(hosts[0]!.dead.aborted).toBe(true);
  release();
  expect((await session.open()).host).toBe(hosts[1]);
});

test.each(['unload', 'dispose', 'crash'] as const)(
  'a request whose images never arrive rejects after %s, also while the model is ready',
  async (end) => {
    const { session, hosts } = makeSession();
    await session.open();
    const asking = session.generate(new Promise<ChatJob>(() => {}));
    const rejected = expect(asking).rejects.toMatchObject({ name: 'NearsightError' });
    await settle();
    if (end === 'crash') hosts[0]!.stop(new NearsightError('worker_crashed', 'It died.'));
    else session[end]();
    await rejected;
  },
);

describe('a job that fails before it is made', () => {
  const unreadable = new NearsightError('unreadable_image', 'It is no image.');

  test('rejects at once and leaves the load running, whatever its signal does later', async () => {
    const { session, status, hosts, hold, release } = makeSession();
    hold();
    const caller = new AbortController();
    await expect(session.generate(Promise.reject(unreadable), caller.signal)).rejects.toBe(unreadable);
    caller.abort();
    await settle();
    release();
    await settle();
    expect(status.value.state).toBe('ready');
    expect(hosts).toHaveLength(1);
    session.unload();
    expect(hosts[0]!.dead.aborted).toBe(true);
  });

  test('leaves a load that the next who waits for it can end', async () => {
    const { session, hosts, hold } = makeSession();
    hold();
    await expect(session.generate(Promise.reject(unreadable))).rejects.toBe(unreadable);
    const caller = new AbortController();
    const opening = session.open(caller.signal);
    await settle();
    expect(hosts[0]!.dead.aborted).toBe(false);
    caller.abort();
    await expect(opening).rejects.toThrow();
    expect(hosts[0]!.dead.aborted).toBe(true);
  });

  test('because its caller aborted ends the load', async () => {
    const { session, status, hosts, hold } = makeSession();
    hold();
    const caller = new AbortController();
    const making = new Promise<ChatJob>((_, reject) => {
      caller.signal.addEventListener('abort', () => reject(caller.signal.reason));
    });
    const asking = session.generate(making, caller.signal);
    await settle();
    caller.abort(new Error('gone'));
    await expect(asking).rejects.toThrow('gone');
    await settle();
    expect([status.value.state, hosts[0]!.dead.aborted]).toEqual(['idle', true]);
  });
});

test('the load begins while the job is being made', async () => {
  const { session, hosts, status } = makeSession();
  let made = (_job: ChatJob): void => {};
  const asking = session.generate(new Promise((resolve) => (made = resolve)));
  await settle();
  expect([hosts.length, status.value.state]).toEqual([1, 'ready']);
  made(JOB);
  await asking;
});

test('a worker that hangs is replaced twice, the second time by one without threads', async () => {
  const { session, hosts, states, hold, release } = makeSession();
  hold();
  const opening = session.open();
  for (const index of [0, 1]) {
    await settle();
    hosts[index]!.hung = true;
    hosts[index]!.stop(new NearsightError('worker_crashed', 'It hangs.'));
  }
  await settle();
  release();
  expect((await opening).host).toBe(hosts[2]);
  expect(hosts.map((host) => host.request?.threads)).toEqual([undefined, undefined, 1]);
  expect(states).toEqual(['idle', 'ready']);
});

test('a worker that dies when ready sets the state to failed, and the next request starts another', async () => {
  const { session, hosts, status } = makeSession();
  await session.open();
  const loss = new NearsightError('worker_crashed', 'It died.');
  hosts[0]!.stop(loss);
  expect(status.value).toEqual({ state: 'failed', error: loss });
  expect((await session.open()).host).toBe(hosts[1]);
});

test('answers of a worker that ended are not counted in the next worker', async () => {
  const { session, status } = makeSession();
  await session.generate(Promise.resolve(JOB));
  expect(status.value).toMatchObject({ state: 'ready', active: 1 });
  session.unload();
  await session.open();
  expect(status.value).toMatchObject({ state: 'ready', active: 0 });
});

test.each([
  ['ends', undefined, { state: 'ready', active: 0 }, false],
  ['fails by its own fault', new NearsightError('constraint_unsatisfiable', 'x'), { state: 'ready', active: 0 }, false],
  ['is aborted by its caller', new Error('enough'), { state: 'ready', active: 0 }, false],
  ['meets a failed GPU', new NearsightError('gpu_error', 'x'), { state: 'failed' }, true],
])(
  'an answer that %s is counted no more, and only a failed GPU ends the worker',
  async (_what, error, status, dead) => {
    const made = makeSession();
    await made.session.generate(Promise.resolve(JOB));
    expect(made.status.value).toMatchObject({ state: 'ready', active: 1 });
    made.hosts[0]!.finish?.(error);
    expect(made.status.value).toMatchObject(status);
    expect(made.hosts[0]!.dead.aborted).toBe(dead);
  },
);

test('a probe sends the request that its caller makes', async () => {
  const { session, request } = makeSession();
  const other = vi.fn(request);
  expect(await session.probe(other)).toMatchObject({ verdict: 'yes' });
  expect(other).toHaveBeenCalledOnce();
});

test('a context that cannot run any worker is a verdict; other errors of a probe are thrown', async () => {
  const { session, startEngine } = makeSession();
  startEngine.mockRejectedValueOnce(new NearsightError('unsupported_device', 'No worker here.'));
  expect(await session.probe()).toEqual({ verdict: 'no', reason: 'No worker here.' });
  startEngine.mockRejectedValueOnce(new NearsightError('load_failed', 'No script.'));
  await expect(session.probe()).rejects.toMatchObject({ code: 'load_failed' });
});

test('dispose ends a probe', async () => {
  const { session, hosts, hold } = makeSession();
  hold();
  const probing = session.probe();
  await settle();
  session.dispose();
  await expect(probing).rejects.toMatchObject({ code: 'disposed' });
  expect(hosts[0]!.dead.aborted).toBe(true);
});
