import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import type { Part } from '../../../src/protocol/job.ts';
import { specOfFolder } from '../../../tools/ask/model.mjs';
import type { Engine } from '../../../worker/engines/engine.ts';
import { transformersEngine } from '../../../worker/engines/transformers/transformers-engine.ts';
import { chatJob } from './chat-job.ts';
import { assets } from './dawn-engine.ts';
import { filesWith } from './disk-store.ts';
import { useFacade } from './use-facade.ts';

useFacade();
setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const FOLDER = 'test/fixtures/tiny-llava';
/** What tests and onnxruntime hold besides, and drop later. */
const NOISE = 100_000;

const spec = await specOfFolder(FOLDER, 'https://example.com/');
const files = filesWith(async ({ path }) => readFileSync(join(FOLDER, path)));

function open(): Promise<Engine> {
  const variants = spec.variants.filter(({ dtype }) => dtype === 'q4');
  const request = { spec: { ...spec, variants }, device: 'wasm', assets } as const;
  return transformersEngine.open(request, { files, emit() {}, signal: new AbortController().signal });
}

/** Bytes of arrays that are alive: tensors, keys and values. */
async function arrayBytes(): Promise<number> {
  for (let turn = 0; turn < 3; turn++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return process.memoryUsage().arrayBuffers;
}

async function ask(engine: Engine, request: number): Promise<Part[]> {
  const job = chatJob({
    // Four texts in turn, so that earlier ones are kept and found again.
    turns: [{ role: 'user', parts: [{ type: 'text', text: `${request % 4} What is this? And what is near it?` }] }],
    maxTokens: 8,
  });
  const parts: Part[] = [];
  await engine.answer(job, (part) => parts.push(part), new AbortController().signal);
  return parts;
}

function heapBytes(): number {
  return Object.values(globalThis.nearsightOrtModules ?? {}).reduce((sum, { HEAPU8 }) => sum + HEAPU8.length, 0);
}

test('requests on wasm leave no arrays, and a closed model none; opened again, it takes no more of the heap', async () => {
  const engine = await open();
  const opened = await arrayBytes();
  for (let request = 0; request < 8; request++) await ask(engine, request);
  const early = await arrayBytes();
  for (let request = 0; request < 40; request++) await ask(engine, request);
  await expect.poll(async () => (await arrayBytes()) - early).toBeLessThan(NOISE);
  const heap = heapBytes();
  expect(heap).toBeGreaterThan(0);
  engine.forget();
  await expect.poll(async () => (await arrayBytes()) - opened).toBeLessThan(NOISE);
  await engine.close();
  for (let time = 0; time < 3; time++) {
    const again = await open();
    await ask(again, time);
    await again.close();
  }
  expect(heapBytes()).toBe(heap);
});
