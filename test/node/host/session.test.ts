/** Every call of a session in every state, in pairs, with a worker that is made by hand. */
import { describe, expect, test } from 'vitest';
import type { Session } from '../../../src/host/session.ts';
import { NearsightError } from '../../../src/protocol/errors.ts';
import type { ChatJob, Part } from '../../../src/protocol/job.ts';
import { FACTS, makeSession, ZEROS } from './fake-engine.ts';
import { ANSWER } from '../job-parts.ts';

const JOB = {} as ChatJob;

type Made = ReturnType<typeof makeSession>;

/** Until everything has happened that can happen by itself. */
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
    for await (const part of await session.generate(Promise.resolve(JOB))) parts.push(part);
    return parts;
  },
  probe: (session) => session.probe(),
  forget: (session) => session.forget(),
  debugStats: (session) => session.debugStats(),
  unload: (session) => session.unload(),
  dispose: (session) => session.dispose(),
};

const RESULTS: Record<string, unknown> = {
  load: FACTS,
  request: ANSWER,
  probe: { verdict: 'yes', reason: 'It can.' },
  forget: undefined,
  debugStats: { ...ZEROS, ports: 1 },
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

/** What a call gives by the table of `Session`: a code, or its result. `then`: the call that follows at once. */
function outcome(state: string, call: string, then?: string): unknown {
  const asks = call === 'load' || call === 'request' || call === 'probe';
  if (state === 'disposed' && asks) return 'disposed';
  if (call === 'debugStats' && !live(state)) return ZEROS;
  const reason = { unload: 'aborted', dispose: 'disposed' }[then ?? ''];
  if (!reason) return RESULTS[call];
  if (call === 'load' && state === 'ready') return FACTS;
  if (call === 'load' || call === 'request') return reason;
  // One that has just begun asks a worker of its own.
  if (call === 'probe') return reason === 'disposed' ? reason : RESULTS[call];
  return live(state) && (call === 'forget' || call === 'debugStats') ? reason : RESULTS[call];
}

describe.each(Object.keys(STATES))('when %s,', (state) => {
  const names = Object.keys(CALLS);
  test.each(names.flatMap((first) => names.map((second) => [first, second])))('%s, then %s', async (first, second) => {
    const made = makeSession();
    made.hold();
    await STATES[state]!(made);
    const given = [first, second].map(async (name) => {
      try {
        return await CALLS[name]!(made.session);
      } catch (error) {
        return (error as NearsightError).code;
      }
    });
    await settle();
    made.release();
    const between = next(state, first);
    expect(await Promise.all(given)).toEqual([outcome(state, first, second), outcome(between, second)]);
    await settle();
    const last = next(between, second);
    const settled = last === 'starting' || last === 'loading' ? 'ready' : last;
    expect(made.status.value.state).toBe(settled);
    expect(made.engines.filter(({ dead }) => !dead.aborted)).toHaveLength(settled === 'ready' ? 1 : 0);
  });
});

test('load, unload, load, as in React.StrictMode: the first load ends, the second one is ready', async () => {
  const { session, heard, engines } = makeSession();
  const first = session.open();
  session.unload();
  const second = session.open();
  await expect(first).rejects.toMatchObject({ code: 'aborted' });
  expect((await second).facts).toBe(FACTS);
  expect(heard).toEqual(['idle', 'ready']);
  expect(engines.filter(({ dead }) => !dead.aborted)).toHaveLength(1);
});

test('a load ends at once, though its request or its worker never comes', async () => {
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

test('what a load reports after its end is not shown', async () => {
  const { session, engines, heard, hold } = makeSession();
  hold();
  session.open().catch(() => {});
  await settle();
  engines[0]!.part!({ type: 'download', loadedBytes: 1, totalBytes: 2 });
  session.unload();
  engines[0]!.part!({ type: 'prepare', done: 1, of: 2 });
  expect(heard).toEqual(['idle', 'downloading', 'idle']);
});

test('a load that nobody waits for ends, and leaves nothing to the next', async () => {
  const { session, engines, hold, release } = makeSession();
  hold();
  const [one, other] = [new AbortController(), new AbortController()];
  const calls = [session.open(one.signal), session.open(other.signal)];
  await settle();
  one.abort(new Error('one'));
  await expect(calls[0]).rejects.toThrow('one');
  expect(engines[0]!.dead.aborted).toBe(false);
  other.abort(new Error('other'));
  await expect(calls[1]).rejects.toThrow('other');
  expect(engines[0]!.dead.aborted).toBe(true);
  release();
  expect((await session.open()).engine).toBe(engines[1]);
});

describe('a job that cannot be made', () => {
  const unreadable = new NearsightError('unreadable_image', 'It is no image.');

  test('rejects at once and leaves the load running, whatever its signal does later', async () => {
    const { session, status, engines, hold, release } = makeSession();
    hold();
    const caller = new AbortController();
    await expect(session.generate(Promise.reject(unreadable), caller.signal)).rejects.toBe(unreadable);
    caller.abort();
    await settle();
    release();
    await settle();
    expect(status.value.state).toBe('ready');
    expect(engines).toHaveLength(1);
    session.unload();
    expect(engines[0]!.dead.aborted).toBe(true);
  });

  test('because its caller has left ends the load', async () => {
    const { session, status, engines, hold } = makeSession();
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
    expect([status.value.state, engines[0]!.dead.aborted]).toEqual(['idle', true]);
  });
});

test('the load begins while the job is being made', async () => {
  const { session, engines, status } = makeSession();
  let made = (_job: ChatJob): void => {};
  const asking = session.generate(new Promise((resolve) => (made = resolve)));
  await settle();
  expect([engines.length, status.value.state]).toEqual([1, 'ready']);
  made(JOB);
  await asking;
});

test('a worker that hangs is replaced once, without threads', async () => {
  const { session, engines, heard, hold, release } = makeSession();
  hold();
  const opening = session.open();
  await settle();
  engines[0]!.hung = true;
  engines[0]!.stop(new NearsightError('worker_crashed', 'It hangs.'));
  await settle();
  release();
  expect((await opening).engine).toBe(engines[1]);
  expect(engines.map((engine) => engine.request?.threads)).toEqual([undefined, 1]);
  expect(heard).toEqual(['idle', 'ready']);
});

test('a worker that dies when it is ready fails the model, and the next request starts another', async () => {
  const { session, engines, status } = makeSession();
  await session.open();
  const loss = new NearsightError('worker_crashed', 'It died.');
  engines[0]!.stop(loss);
  expect(status.value).toEqual({ state: 'failed', error: loss });
  expect((await session.open()).engine).toBe(engines[1]);
});

test('answers that were under way when the worker ended are not counted in the next', async () => {
  const { session, status } = makeSession();
  // Nobody reads its end.
  await session.generate(Promise.resolve(JOB));
  expect(status.value).toMatchObject({ state: 'ready', active: 1 });
  session.unload();
  await session.open();
  expect(status.value).toMatchObject({ state: 'ready', active: 0 });
});

test('dispose ends a probe', async () => {
  const { session, engines, hold } = makeSession();
  hold();
  const probing = session.probe();
  await settle();
  session.dispose();
  await expect(probing).rejects.toMatchObject({ code: 'disposed' });
  expect(engines[0]!.dead.aborted).toBe(true);
});
