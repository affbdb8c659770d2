/** The page's end of a worker, without a browser: a thread of the same process, reached by messages that are cloned. */
import { expose } from 'comlink';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Engine } from '../../../src/host/engine-host.ts';
import { NearsightError } from '../../../src/protocol/errors.ts';
import { servePort } from '../../../src/protocol/port.ts';
import type { ChatJob, Part } from '../../../src/protocol/job.ts';
import type { LoadPart, LoadRequest, ModelFacts, Runtime } from '../../../src/protocol/calls.ts';
import { ANSWER } from '../job-parts.ts';

const FACTS: ModelFacts = {
  model: 'fake',
  device: 'wasm',
  dtype: 'q4',
  contextLength: 64,
  hardware: '1 thread',
  reason: 'It is the only one.',
};
const never = new AbortController().signal;
const request = { spec: { id: 'fake' }, device: 'wasm', assets: {}, waiting: 1 } as unknown as LoadRequest;
const job = { turns: [] } as unknown as ChatJob;
/** What a framework's proxy, or a mistake of ours, may leave in an argument. */
const uncloned = { notPlain: () => {} };

const runtime: Runtime = {
  handshake: async () => {},
  load: (_request, port) =>
    void servePort<LoadPart>(port, async (emit) => {
      emit({ type: 'ready', facts: FACTS });
      await new Promise(() => {});
    }),
  generate: (_job, port) =>
    void servePort<Part>(port, async (emit) => {
      for (const part of ANSWER) emit(part);
    }),
  probe: async () => ({ verdict: 'yes', reason: 'It can.' }),
  forget: async () => {},
  debugStats: async () => ({ gpuBuffers: 0, ports: 1, waiting: 0, loaded: 'fake' }),
};

async function collect(stream: ReadableStream<Part>): Promise<Part[]> {
  const parts: Part[] = [];
  for await (const part of stream) parts.push(part);
  return parts;
}

/** What each was rejected with. */
async function reasonsOf(calls: readonly Promise<unknown>[]): Promise<unknown[]> {
  return (await Promise.allSettled(calls)).map((call) => call.status === 'rejected' && call.reason);
}

let engine: Engine;
const unhandled = vi.fn();

beforeEach(() => {
  // Its worker never dies by itself.
  vi.stubGlobal('navigator', { locks: { request: () => new Promise(() => {}) } });
  process.on('unhandledRejection', unhandled);
  const { port1, port2 } = new MessageChannel();
  expose(runtime, port2);
  port1.start();
  engine = new Engine(Object.assign(port1, { terminate: () => port2.close() }) as unknown as Worker);
});

afterEach(async () => {
  engine.stop(new NearsightError('aborted', 'The test is over.'));
  await new Promise((resolve) => setTimeout(resolve));
  process.off('unhandledRejection', unhandled);
  vi.unstubAllGlobals();
  expect(unhandled).not.toHaveBeenCalled();
});

test('a load, an answer and a probe pass', async () => {
  expect(await engine.load(request, () => {}, never)).toEqual(FACTS);
  expect(await collect(engine.generate(job))).toEqual(ANSWER);
  expect(await engine.probe(request)).toMatchObject({ verdict: 'yes' });
});

test('what cannot be posted rejects its call, and ends nothing but a load', async () => {
  const refused = { code: 'internal', message: expect.stringContaining('could not be cloned') };
  await engine.load(request, () => {}, never);
  await expect(engine.probe({ ...request, ...uncloned })).rejects.toMatchObject(refused);
  await expect(
    engine
      .generate({ ...job, ...uncloned })
      .getReader()
      .read(),
  ).rejects.toMatchObject(refused);
  expect(await collect(engine.generate(job))).toEqual(ANSWER);
  await expect(engine.load({ ...request, ...uncloned }, () => {}, never)).rejects.toMatchObject(refused);
  expect(engine.dead.reason).toMatchObject(refused);
});

test('an engine that is dead rejects every call with the reason', async () => {
  const reason = new NearsightError('aborted', 'It was stopped.');
  engine.stop(reason);
  expect(new Set(await reasonsOf(everyCall()))).toEqual(new Set([reason]));
});

test('calls in flight reject when it is stopped', async () => {
  const reason = new NearsightError('aborted', 'It was stopped.');
  const reasons = reasonsOf(everyCall());
  engine.stop(reason);
  expect(new Set(await reasons)).toEqual(new Set([reason]));
});

function everyCall(): Promise<unknown>[] {
  return [
    engine.load(request, () => {}, never),
    engine.generate(job).getReader().read(),
    engine.probe(request),
    engine.forget(),
    engine.debugStats(),
  ];
}
