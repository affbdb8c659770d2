// @module-tag long
/** Options and arguments of any shape: each works, or is refused by a NearsightError that names its path. */
import { expose } from 'comlink';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { glimpse } from '../../../models/glimpse.ts';
import { ask } from '../../../src/client/ask.ts';
import { readOptions } from '../../../src/client/options.ts';
import { createNearsight, isNearsightError } from '../../../src/index.ts';
import type { ErrorCode, NearsightError } from '../../../src/protocol/errors.ts';
import type { ModelSpec } from '../../../src/protocol/model-spec.ts';
import { pick, type Random, xorshift } from '../../random.ts';
import { makeRuntime } from '../host/fake-runtime.ts';
import { ANSWER, partsOf } from '../job-parts.ts';
import { disguised, oddArgument, oddValue, spoiled } from './odd-values.ts';

const SEED = 20261129;

/** A fresh copy, without functions in it. */
const plainOptions = () => ({
  model: JSON.parse(JSON.stringify(glimpse)) as ModelSpec,
  device: 'wasm',
  intercept: ['/api', 'https://api.example.com'],
  assets: { worker: '/w.js', ort: '/ort/' },
  limits: { pixels: 9, images: 2 },
  aliases: { other: 'glimpse' },
  policy: 'local-first',
  remote: { baseURL: '/nim', dialect: 'nim2' },
  images: { origins: ['https://images.example'], tags: true },
});

beforeEach(() => {
  vi.stubGlobal('fetch', async () => new Response('a file'));
  vi.stubGlobal('isSecureContext', true);
  vi.stubGlobal('location', { href: 'https://page.example/app/' });
  vi.stubGlobal('navigator', { locks: { request: () => new Promise(() => {}) } });
  vi.stubGlobal('Worker', function () {
    const { port1, port2 } = new MessageChannel();
    expose(makeRuntime({ probe: async () => ({ verdict: 'yes', reason: 'It can.' }) }), port2);
    return Object.assign(port1, { terminate: () => port2.close() });
  });
});

afterEach(() => vi.unstubAllGlobals());

/** Rejects if a call hangs, naming the case. */
async function settled<T>(call: Promise<T>, name: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${name} hangs`)), 10_000);
  });
  return Promise.race([call, late]).finally(() => clearTimeout(timer));
}

const SLOW_MS = 2000;

/** Runs many cases; each ends well or with a NearsightError, and is not slow twice. Returns how many of either. */
async function eachCase(
  count: number,
  run: (random: Random) => unknown,
  allowed: (error: unknown) => boolean = namesPath,
): Promise<{ worked: number; refused: number }> {
  const outcome = { worked: 0, refused: 0 };
  for (let i = 0; i < count; i++) {
    const name = `case ${i} of seed ${SEED}`;
    const timed = async (): Promise<{ end: 'worked' | 'refused'; ms: number }> => {
      const start = performance.now();
      let end: 'worked' | 'refused' = 'worked';
      try {
        await settled(Promise.resolve(run(xorshift(SEED + i * 7919))), name);
      } catch (error) {
        if (!allowed(error)) throw new Error(`${name}: ${String(error)}`, { cause: error });
        end = 'refused';
      }
      return { end, ms: performance.now() - start };
    };
    const { end, ms } = await timed();
    outcome[end]++;
    if (ms > SLOW_MS && (await timed()).ms > SLOW_MS) throw new Error(`${name} takes longer than two seconds`);
  }
  return outcome;
}

function namesPath(error: unknown): boolean {
  return isNearsightError(error) && error.code === 'invalid_request' && Boolean(error.param);
}

function hasCode(error: unknown, ...codes: readonly ErrorCode[]): error is NearsightError {
  return isNearsightError(error) && codes.includes(error.code);
}

test('options in objects of any kind and realm are read as plain ones are', async () => {
  const expected = readOptions(plainOptions());
  await eachCase(500, (random) => {
    expect(readOptions(disguised(random, plainOptions()))).toEqual(expected);
  });
});

test('options with odd values work, or are refused by their path', { timeout: 120_000 }, async () => {
  // A spec may be well formed and name no place for a file.
  const isKnown = (error: unknown): boolean => namesPath(error) || hasCode(error, 'load_failed', 'model_not_found');
  const run = async (random: Random): Promise<void> => {
    const near = createNearsight(spoiled(random, plainOptions()) as never);
    // What was accepted can be posted to the worker.
    await near.probe();
    near.dispose();
  };
  const { worked, refused } = await eachCase(3000, run, isKnown);
  expect(worked).toBeGreaterThan(100);
  expect(refused).toBeGreaterThan(1000);
  expect({}).not.toHaveProperty('polluted');
});

test('odd options and models are refused by their path', async () => {
  const near = createNearsight({ model: glimpse });
  await eachCase(500, (random) => createNearsight(oddValue(random) as never));
  const isKnown = (error: unknown): boolean => namesPath(error) || hasCode(error, 'load_failed', 'model_not_found');
  await eachCase(500, (random) => near.probe(oddValue(random) as never), isKnown);
  await eachCase(500, async (random) => {
    const options = { [pick(random, ['onProgress', 'signal', 'extra'])]: oddValue(random) };
    await near.load(pick(random, [options, oddValue(random)]) as never);
    await near.unload();
  });
  near.dispose();
});

test('odd images, questions and options of ask() work, or are refused by their path', async () => {
  const session = { generate: async (making: Promise<unknown>) => (await making, partsOf(...ANSWER)) };
  const rules = { images: 3, imageBytes: 1000, pixels: 9 };
  const isKnown = (error: unknown): boolean =>
    namesPath(error) || (hasCode(error, 'unreadable_image') && error.param !== undefined);
  const { worked, refused } = await eachCase(
    3000,
    async (random) => {
      const args = [new Blob(['x']), 'What?', {}] as unknown[];
      const at = pick(random, [0, 0, 1, 2]);
      args[at] = pick(random, [oddValue, (r: Random) => [new Blob(['x']), oddValue(r)]])(random);
      if (at === 2)
        args[2] = pick(random, [args[2], { [pick(random, ['maxTokens', 'signal', 'x'])]: oddValue(random) }]);
      for await (const _ of ask(
        { session, rules },
        ...(args as Parameters<typeof ask> extends [unknown, ...infer Rest] ? Rest : never),
      ));
    },
    isKnown,
  );
  expect(worked).toBeGreaterThan(100);
  expect(refused).toBeGreaterThan(1000);
});

test('odd arguments of fetch() throw what the native fetch throws, or are answered', async () => {
  const native = vi.fn(async () => new Response('native'));
  const { fetch } = createNearsight({ model: glimpse, intercept: ['https://api.example'], fetch: native });
  const url = 'https://api.example/v1/chat/completions';
  const INIT = ['method', 'headers', 'body', 'signal', 'mode', 'x'];
  // Native fetch reads the same values, and lets through what they throw.
  await eachCase(
    2000,
    async (random) => {
      const init = { method: 'POST', [pick(random, INIT)]: oddArgument(random) };
      const args = pick(random, [
        [url, init],
        [oddArgument(random), init],
        [url, oddArgument(random)],
      ]);
      expect(await fetch(...(args as Parameters<typeof fetch>))).toBeInstanceOf(Response);
    },
    () => true,
  );
});
