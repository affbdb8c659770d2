import { expect, test, vi } from 'vitest';
import { NearsightError } from '../../../src/protocol/errors.ts';
import { GREEDY, type ChatJob, type Part } from '../../../src/protocol/job.ts';
import { readPort, type PartReader } from '../../../src/protocol/port.ts';
import type { LoadPart, LoadRequest, Runtime } from '../../../src/protocol/calls.ts';
import { glimpse } from '../../../models/glimpse.ts';
import type { Engine } from '../../../worker/engines/onnx/onnx-engine.ts';
import { createRuntime } from '../../../worker/runtime.ts';

const never = new AbortController().signal;
const sent = Promise.resolve();
const REQUEST: LoadRequest = { spec: glimpse, device: 'wasm', assets: {}, waiting: 4 };
const JOB: ChatJob = {
  turns: [{ role: 'user', parts: [{ type: 'text', text: 'Why?' }] }],
  maxTokens: 1,
  stop: [],
  sampling: GREEDY,
  choices: 1,
  cache: true,
  limits: { pixels: 1 },
};

/** A runtime on models that answer when told to, and are lost when told to. */
function rig() {
  const log: string[] = [];
  let finish = (): void => {};
  let lose = (_error: NearsightError): void => {};
  let opened = 0;
  const runtime = createRuntime(async () => {
    const name = `model ${++opened}`;
    const facts = { model: name, device: 'wasm', dtype: 'q4', contextLength: 64, hardware: '', reason: '' } as const;
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
  });
  return { runtime, log, finish: () => finish(), lose: (error: NearsightError) => lose(error) };
}

async function load(runtime: Runtime): Promise<PartReader<LoadPart>> {
  const { port1, port2 } = new MessageChannel();
  const parts = readPort<LoadPart>(port1, { sent, dead: never });
  runtime.load(REQUEST, port2);
  expect((await parts.read()).value).toMatchObject({ type: 'ready' });
  return parts;
}

function generate(runtime: Runtime): Promise<unknown> {
  const { port1, port2 } = new MessageChannel();
  const parts = readPort<Part>(port1, { sent, dead: never });
  runtime.generate(JOB, port2);
  return parts.read().catch((error: NearsightError) => error.code);
}

test('a load that is cancelled after `ready` closes the model, and its port ends', async () => {
  const { runtime, log } = rig();
  const { ports } = await runtime.debugStats();
  const parts = await load(runtime);
  expect(await runtime.debugStats()).toMatchObject({ loaded: 'model 1' });
  await parts.cancel();
  await expect.poll(async () => runtime.debugStats()).toMatchObject({ loaded: null, ports });
  expect(log).toEqual(['model 1 closed']);
  expect(await generate(runtime)).toBe('device_lost');
});

test('it is closed when the answers that were asked for before have ended', async () => {
  const { runtime, log, finish } = rig();
  const { ports } = await runtime.debugStats();
  const parts = await load(runtime);
  const answer = generate(runtime);
  await vi.waitFor(() => expect(log).toEqual(['model 1 answers']));
  await parts.cancel();
  await expect.poll(async () => runtime.debugStats()).toMatchObject({ loaded: null });
  expect(log).toEqual(['model 1 answers']);
  finish();
  expect(await answer).toMatchObject({ done: true });
  await expect.poll(async () => runtime.debugStats()).toMatchObject({ ports });
  expect(log).toEqual(['model 1 answers', 'model 1 has answered', 'model 1 closed']);
});

test('a model that was loaded since is left alone', async () => {
  const { runtime, log } = rig();
  const first = await load(runtime);
  const second = await load(runtime);
  await first.cancel();
  await vi.waitFor(() => expect(log).toEqual(['model 1 closed']));
  expect(await runtime.debugStats()).toMatchObject({ loaded: 'model 2' });
  await second.cancel();
});

test('a model that is lost ends its port with the reason, also while it answers', async () => {
  const { runtime, lose } = rig();
  const parts = await load(runtime);
  void generate(runtime);
  lose(new NearsightError('device_lost', 'gone'));
  await expect(parts.read()).rejects.toMatchObject({ code: 'device_lost', message: 'gone' });
  expect(await runtime.debugStats()).toMatchObject({ loaded: null });
});
