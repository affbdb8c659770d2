/** Calls to a runtime in the same thread, over a MessageChannel, whose messages are cloned. */
import { expose } from 'comlink';
import { beforeEach, expect, test, vi } from 'vitest';
import { EngineClient } from '../../../src/host/engine-client.ts';
import { NearsightError } from '../../../src/protocol/errors.ts';
import type { Part } from '../../../src/protocol/job.ts';
import type { PartReader } from '../../../src/protocol/port.ts';
import { ANSWER } from '../job-parts.ts';
import { FACTS, JOB, makeRuntime, NOT_CLONEABLE, REQUEST } from './fake-runtime.ts';

let client: EngineClient;
let dying: AbortController;
let runtime: ReturnType<typeof makeRuntime>;

beforeEach(() => {
  const { port1, port2 } = new MessageChannel();
  dying = new AbortController();
  runtime = makeRuntime();
  expose(runtime, port2);
  client = new EngineClient(port1, dying.signal);
});

async function collect(reader: PartReader<Part>): Promise<Part[]> {
  const parts: Part[] = [];
  for (let next = await reader.read(); !next.done; next = await reader.read()) parts.push(next.value);
  return parts;
}

const everyCall = (): Promise<unknown>[] => [
  client.load(REQUEST, () => {}),
  client.generate(JOB).read(),
  client.call((runtime) => runtime.probe(REQUEST)),
  client.call((runtime) => runtime.forget()),
  client.call((runtime) => runtime.debugStats()),
];

/** What each call was rejected with. */
async function reasonsOf(calls: readonly Promise<unknown>[]): Promise<Set<unknown>> {
  const settled = await Promise.allSettled(calls);
  return new Set(settled.map((call) => call.status === 'rejected' && call.reason));
}

test('a load, an answer and a plain call return what the runtime sends', async () => {
  expect(await client.load(REQUEST, () => {})).toEqual(FACTS);
  expect(await collect(client.generate(JOB))).toEqual(ANSWER);
  expect(await client.call((runtime) => runtime.probe(REQUEST))).toMatchObject({ verdict: 'yes' });
});

test('an argument that cannot be cloned rejects its call, and the next call works', async () => {
  const refused = { code: 'internal', message: expect.stringContaining('could not be cloned') };
  const calls = [
    client.call((runtime) => runtime.probe({ ...REQUEST, ...NOT_CLONEABLE })),
    client.generate({ ...JOB, ...NOT_CLONEABLE }).read(),
    client.load({ ...REQUEST, ...NOT_CLONEABLE }, () => {}),
  ];
  for (const call of calls) await expect(call).rejects.toMatchObject(refused);
  expect(await collect(client.generate(JOB))).toEqual(ANSWER);
});

test('pending calls, and later ones, reject with the reason when the other end dies', async () => {
  const reason = new NearsightError('worker_crashed', 'It died.');
  const pending = reasonsOf(everyCall());
  dying.abort(reason);
  expect(await pending).toEqual(new Set([reason]));
  expect(await reasonsOf(everyCall())).toEqual(new Set([reason]));
});

test('a model that is lost after its load is reported', async () => {
  const onLost = vi.fn();
  await client.load(REQUEST, () => {}, onLost);
  expect(onLost).not.toHaveBeenCalled();
  runtime.lose(new NearsightError('device_lost', 'The GPU is gone.'));
  await expect.poll(() => onLost.mock.calls).toEqual([[expect.objectContaining({ code: 'device_lost' })]]);
});
