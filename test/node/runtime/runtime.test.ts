import { expose, releaseProxy, transfer, wrap } from 'comlink';
import { expect, test } from 'vitest';
import { NearsightError } from '../../../src/protocol/errors.ts';
import { GREEDY, type ChatJob, type Part } from '../../../src/protocol/job.ts';
import { readPort, type PartReader } from '../../../src/protocol/port.ts';
import type { LoadPart, LoadRequest } from '../../../src/protocol/calls.ts';
import type { Runtime } from '../../../src/protocol/runtime-calls.ts';
import type { Engine, EngineKind } from '../../../worker/engines/engine.ts';
import type { ModelFiles, ModelStore } from '../../../worker/storage/store.ts';
import { createRuntime } from '../../../worker/runtime.ts';
import { memoryStore } from '../../browser/fake-engine/memory-store.ts';
import { fakeEngine, fakeModel } from '../../browser/fake-engine/fake-engine.ts';

const never = new AbortController().signal;
const sent = Promise.resolve();
const REQUEST: LoadRequest = { model: fakeModel, allowUnverified: false, device: 'wasm', assets: {}, waiting: 4 };
const JOB: ChatJob = {
  turns: [{ role: 'user', parts: [{ type: 'text', text: 'Why?' }] }],
  maxTokens: 1,
  stop: [],
  sampling: GREEDY,
  choices: 1,
  cache: true,
  limits: { pixels: 1 },
};

/** A runtime on engines that answer when told to, and are lost when told to. */
function setUp() {
  const log: string[] = [];
  let finish = (): void => {};
  let lose = (_error: NearsightError): void => {};
  let opened = 0;
  const open: EngineKind['open'] = async (_request, { files: { storage } }) => {
    const name = `model ${++opened}`;
    const facts = {
      model: name,
      device: 'wasm',
      dtype: 'q4',
      contextLength: 64,
      engine: 'fake',
      hardware: '',
      reason: '',
      storage,
    } as const;
    return {
      facts,
      lost: new Promise<NearsightError>((resolve) => (lose = resolve)),
      async answer() {
        log.push(`${name} answers`);
        await new Promise<void>((resolve) => (finish = resolve));
        log.push(`${name} has answered`);
      },
      forget: () => {},
      gpuBuffers: () => 0,
      close: async () => void log.push(`${name} closed`),
    } satisfies Engine;
  };
  const runtime = createRuntime([{ ...fakeEngine, open }], memoryStore);
  return { runtime, log, finish: () => finish(), lose: (error: NearsightError) => lose(error) };
}

async function load(runtime: Runtime): Promise<PartReader<LoadPart>> {
  const { port1, port2 } = new MessageChannel();
  const parts = readPort<LoadPart>(port1, { sent, dead: never });
  runtime.load(REQUEST, port2);
  for (;;) {
    const { value } = await parts.read();
    if (value?.state === 'ready') return parts;
    expect(value).toMatchObject({ state: 'preparing' });
  }
}

function generate(runtime: Runtime): Promise<unknown> {
  const { port1, port2 } = new MessageChannel();
  const parts = readPort<Part>(port1, { sent, dead: never });
  runtime.generate(JOB, port2);
  return parts.read().catch((error: NearsightError) => error.code);
}

test('a load that is cancelled after `ready` closes the model, and its port ends', async () => {
  const { runtime, log } = setUp();
  const { ports } = await runtime.debugStats();
  const parts = await load(runtime);
  expect(await runtime.debugStats()).toMatchObject({ loaded: 'model 1' });
  await parts.cancel();
  await expect.poll(async () => runtime.debugStats()).toMatchObject({ loaded: null, ports });
  expect(log).toEqual(['model 1 closed']);
  expect(await generate(runtime)).toBe('device_lost');
});

test('a cancelled load closes its model when the answers requested before have ended', async () => {
  const { runtime, log, finish } = setUp();
  const { ports } = await runtime.debugStats();
  const parts = await load(runtime);
  const answer = generate(runtime);
  await expect.poll(() => log).toEqual(['model 1 answers']);
  await parts.cancel();
  await expect.poll(async () => runtime.debugStats()).toMatchObject({ loaded: null });
  expect(log).toEqual(['model 1 answers']);
  finish();
  expect(await answer).toMatchObject({ done: true });
  await expect.poll(async () => runtime.debugStats()).toMatchObject({ ports });
  expect(log).toEqual(['model 1 answers', 'model 1 has answered', 'model 1 closed']);
});

test('cancelling a load does not close a model that was loaded later', async () => {
  const { runtime, log } = setUp();
  const first = await load(runtime);
  const second = await load(runtime);
  await first.cancel();
  await expect.poll(() => log).toEqual(['model 1 closed']);
  expect(await runtime.debugStats()).toMatchObject({ loaded: 'model 2' });
  await second.cancel();
});

test('a model that is lost ends its load with the reason, even while it answers', async () => {
  const { runtime, lose } = setUp();
  const parts = await load(runtime);
  void generate(runtime);
  lose(new NearsightError('device_lost', 'gone'));
  await expect(parts.read()).rejects.toMatchObject({ code: 'device_lost', message: 'gone' });
  expect(await runtime.debugStats()).toMatchObject({ loaded: null });
});

test('a fake engine loads and answers over message channels, as between page and worker', async () => {
  const { port1, port2 } = new MessageChannel();
  expose(createRuntime([fakeEngine], memoryStore), port2);
  const runtime = wrap<Runtime>(port1);
  const call = <P>(send: (port: MessagePort) => Promise<void>): PartReader<P> => {
    const { port1: reading, port2: writing } = new MessageChannel();
    return readPort<P>(reading, { sent: send(transfer(writing, [writing])), dead: never });
  };
  const loading = call<LoadPart>((port) => runtime.load(REQUEST, port));
  expect((await loading.read()).value).toEqual({ state: 'preparing', done: 1, of: 1 });
  expect((await loading.read()).value).toMatchObject({ state: 'ready', facts: { model: 'fake' } });
  const parts: Part[] = [];
  const answer = call<Part>((port) => runtime.generate(JOB, port));
  for (let next = await answer.read(); !next.done; next = await answer.read()) parts.push(next.value);
  expect(parts.map(({ type }) => type)).toEqual(['start', 'text', 'finish', 'usage']);
  expect(parts[1]).toEqual({ type: 'text', choice: 0, text: 'Why?' });
  expect(await runtime.probe(REQUEST)).toMatchObject({ verdict: 'yes' });
  await loading.cancel();
  await expect.poll(() => runtime.debugStats()).toMatchObject({ loaded: null });
  runtime[releaseProxy]();
  port2.close();
});

test('the first engine that supports a model opens it, with files of the store that the runtime was given', async () => {
  const given: ModelFiles[] = [];
  const opened: ModelFiles[] = [];
  const open: EngineKind['open'] = (request, options) => {
    opened.push(options.files);
    return fakeEngine.open(request, options);
  };
  const use: ModelStore['use'] = async (...options) => {
    const files = await memoryStore.use(...options);
    given.push(files);
    return files;
  };
  const engines = [{ ...fakeEngine, modelTypes: ['other'] }, { ...fakeEngine, open }, fakeEngine];
  const runtime = createRuntime(engines, { ...memoryStore, use });
  const parts = await load(runtime);
  expect(given).toHaveLength(1);
  expect(opened[0]).toBe(given[0]);
  await parts.cancel();
});

test('a repository on the hub: the status says what was found there, and under which licence it is', async () => {
  const licence = { name: 'Licence of the test', restricted: true };
  const variants = ['q4f16', 'q4'].map((dtype) => ({ dtype, devices: [], f16: false, graphs: Object(null) }));
  const spec = { ...fakeModel, licence, variants, revision: '0123456'.padEnd(40, '7') };
  const runtime = createRuntime([fakeEngine], { ...memoryStore, specOf: async () => spec });
  const request = { ...REQUEST, model: { hub: 'org/fake' } };
  expect(await runtime.probe(request)).toMatchObject({ licence });
  const { port1, port2 } = new MessageChannel();
  const parts = readPort<LoadPart>(port1, { sent, dead: never });
  runtime.load(request, port2);
  let part = (await parts.read()).value;
  while (part?.state !== 'ready') part = (await parts.read()).value;
  expect(part.facts).toMatchObject({ model: 'fake', licence });
  expect(part.facts.reason).toMatch(
    /model_type 'fake', which the engine 'fake' runs, in q4f16, q4, at commit 0123456$/,
  );
  await parts.cancel();
});

test('a model that no engine supports is refused by its type', async () => {
  const runtime = createRuntime([fakeEngine], memoryStore);
  const request = { ...REQUEST, model: { ...fakeModel, modelType: 'llava' } };
  const reason = "fake cannot run here: no engine (fake) supports models of the type 'llava'.";
  expect(await runtime.probe(request)).toEqual({ verdict: 'no', reason });
  const { port1, port2 } = new MessageChannel();
  runtime.load(request, port2);
  const refused = readPort<LoadPart>(port1, { sent, dead: never }).read();
  await expect(refused).rejects.toMatchObject({ code: 'unsupported_device', message: reason });
});
