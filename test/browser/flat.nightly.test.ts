// @module-tag nightly
/** What must not grow with a chat, counted; what grows with the context, by generous ratios. The benchmark draws the curves. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { timedOrt } from '../../tools/counters/timed-ort.mjs';
import { installCounters, serveCounters } from '../../tools/counters.mjs';
import { openPage, type TestPage } from './harness/harness.ts';

declare global {
  // oxlint-disable-next-line no-var -- only `var` declares a global
  var chat: {
    /** Asks, and counts what the worker did for it. */
    ask(turns: ChatTurn[], tokens: number): Promise<Asked>;
    forget(): Promise<void>;
  };
  // oxlint-disable-next-line no-var -- only `var` declares a global
  var counters: import('../../tools/counters.mjs').Counters;
}

/** A text, with so many images in front of it, each of another colour: by its number. */
interface ChatTurn {
  text: string;
  images?: number[];
}

interface Asked {
  text: string;
  promptTokens: number;
  /** How many of them were not in the cache. */
  newTokens: number;
  firstMs: number;
  totalMs: number;
  /** Runs of each graph. */
  runs: { vision: number; decoder: number };
  dispatches: number;
  /** Of GPU buffers, after the answer. */
  liveBytes: number;
}

/** In glimpse's cache: 4 layers, keys and values, 2 heads of 32 floats. */
const BYTES_A_POSITION = 4 * 2 * 2 * 32 * 4;

/** Runs in the page. */
async function install(device: 'webgpu' | 'wasm'): Promise<void> {
  const near = nearsight.createNearsight({ model: glimpse, device });
  await near.load();
  const square = (number: number): string => {
    const canvas = document.createElement('canvas');
    canvas.width = canvas.height = 96;
    const context = canvas.getContext('2d')!;
    context.fillStyle = `rgb(${number % 256} ${number >> 8} 128)`;
    context.fillRect(16, 16, 64, 64);
    return canvas.toDataURL('image/png');
  };
  globalThis.chat = {
    forget: () => near.forget(),
    async ask(turns, tokens) {
      const messages = turns.map(({ text, images = [] }, index) => ({
        role: index % 2 === 0 ? 'user' : 'assistant',
        content: [
          ...images.map((number) => ({ type: 'image_url', image_url: { url: square(number), detail: 'low' } })),
          { type: 'text', text },
        ],
      }));
      const worker = counters.newest();
      const before = await worker.take();
      const asked = performance.now();
      const response = await near.fetch('https://integrate.api.nvidia.com/v1/chat/completions', {
        method: 'POST',
        body: JSON.stringify({
          model: 'glimpse',
          messages,
          max_tokens: tokens,
          ignore_eos: true,
          stream: true,
          stream_options: { include_usage: true },
        }),
      });
      const firstMs = performance.now() - asked;
      const body = await response.text();
      const totalMs = performance.now() - asked;
      if (!response.ok) throw new Error(body);
      const events = body.split('\n').filter((line) => line.startsWith('data: {'));
      const chunks = events.map((line) => JSON.parse(line.slice('data: '.length)));
      const { usage } = chunks.find((chunk) => chunk.usage);
      const after = await worker.take();
      const runsOf = (name: string): number => (after.runs[name] ?? 0) - (before.runs[name] ?? 0);
      return {
        text: chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join(''),
        promptTokens: usage.prompt_tokens,
        newTokens: usage.prompt_tokens - usage.prompt_tokens_details.cached_tokens,
        firstMs,
        totalMs,
        runs: { vision: runsOf('vision'), decoder: runsOf('decoder') },
        dispatches: after.dispatches - before.dispatches,
        liveBytes: after.liveBytes,
      };
    },
  };
}

/** Wraps onnxruntime, so that its runs are counted. */
function serveTimedOrt({ url }: Request): Response | undefined {
  const { pathname, search } = new URL(url);
  if (!/\/ort\.(jspi|webgpu|wasm)\.min[^/]*\.mjs$/.test(pathname) || search === '?real') return undefined;
  return new Response(timedOrt(`${pathname}?real`), {
    headers: { 'content-type': 'text/javascript', 'cross-origin-embedder-policy': 'require-corp' },
  });
}

const words = (count: number): string => Array.from({ length: count }, () => ' and then a dog').join('');

describe.each(['wasm', 'webgpu'] as const)('on %s', { timeout: 600_000 }, (device) => {
  let page: TestPage;
  const ask = (turns: ChatTurn[], tokens: number): Promise<Asked> =>
    page.evaluate((...args) => chat.ask(...args), turns, tokens);

  beforeAll(async () => {
    page = await openPage({ answer: (request) => serveCounters(request) ?? serveTimedOrt(request) });
    await page.evaluate(installCounters);
    await page.evaluate(install, device);
  }, 240_000);

  afterAll(() => page[Symbol.asyncDispose]());

  test('of 200 turns about an image each reads what is new; the image is encoded once', async () => {
    const turns: ChatTurn[] = [];
    const asked: Asked[] = [];
    for (let turn = 0; turn < 200; turn++) {
      turns.push(turn === 0 ? { text: 'What is this?', images: [1] } : { text: 'And?' });
      const answer = await ask(turns, 2);
      turns.push({ text: answer.text });
      asked.push(answer);
    }
    const [first, ...others] = asked;
    if (!first) throw new Error('nothing was asked');
    expect(asked.map(({ runs }) => runs.vision)).toEqual([1, ...others.map(() => 0)]);
    expect(asked.at(-1)?.promptTokens).toBeGreaterThan(1500);
    // The question, the tokens around it, and the answer's last token.
    expect(Math.max(...others.map(({ newTokens }) => newTokens))).toBeLessThanOrEqual(24);
    const runs = others.map((answer) => answer.runs.decoder);
    expect(Math.max(...runs)).toBe(Math.min(...runs));
    if (device === 'wasm') return;
    const [second, last] = [others[0]!, others.at(-1)!];
    expect(last.dispatches).toBeLessThanOrEqual(second.dispatches * 1.1);
    // Admission reserves at most twice the positions, because it takes powers of two, and nothing else has grown.
    expect(last.liveBytes - second.liveBytes).toBeLessThanOrEqual(2 * (last.promptTokens + 2) * BYTES_A_POSITION);
  });

  test.runIf(device === 'webgpu')(
    '1,000 requests of mixed lengths: GPU memory grows by 5 MB at most, keys and values aside, and not after the first 200',
    { timeout: 3_600_000 },
    async () => {
      /** Each prompt comes again after a hundred others: in the cache only as far as its budget goes. */
      const request = async (index: number): Promise<Asked> => {
        const kind = index % 100;
        // One of ten has several hundred tokens, another is about an image.
        const fillers = kind % 10 === 3 ? 100 + kind : kind % 7;
        const text = `${kind}: what is this?${words(fillers)}`;
        return ask([{ text, ...(kind % 10 === 6 && { images: [1000 + kind] }) }], 1 + (kind % 13));
      };
      /** Without snapshots and features, which have budgets of their own. */
      const liveBytes = async (): Promise<number> => {
        await page.evaluate(() => chat.forget());
        return (await ask([{ text: 'What?' }], 1)).liveBytes;
      };
      const first = await liveBytes();
      const taken: number[] = [];
      for (let index = 0; index < 1000; index++) {
        await request(index);
        if (index % 100 === 99) taken.push(await liveBytes());
      }
      const [, settled = 0] = taken;
      expect(Math.max(...taken.slice(2))).toBeLessThanOrEqual(settled);
      expect(settled - first).toBeLessThanOrEqual(5e6 + 1024 * BYTES_A_POSITION);
    },
  );

  test('1, 4 and 16 images take as many runs of the vision encoder, and a further question none', async () => {
    let number = 100;
    for (const count of [1, 4, 16]) {
      const images = Array.from({ length: count }, () => number++);
      const turns: ChatTurn[] = [{ text: 'What is this?', images }];
      const answer = await ask(turns, 2);
      expect(answer.runs.vision).toBe(count);
      turns.push({ text: answer.text }, { text: 'And?' });
      const next = await ask(turns, 2);
      expect(next.runs.vision).toBe(0);
      expect(next.newTokens).toBeLessThanOrEqual(24);
    }
  });

  test('four times the context: runs grow four times, a token takes as many dispatches, times keep to attention', async () => {
    const measured: { runs: number; firstMs: number; tokenMs: number; dispatches: number; tokens: number }[] = [];
    for (const fillers of [200, 800]) {
      await page.evaluate(() => chat.forget());
      const turns = [{ text: `What is this?${words(fillers)}` }];
      const first = await ask(turns, 2);
      const short = await ask(turns, 2);
      const long = await ask(turns, 26);
      expect(first.newTokens).toBe(first.promptTokens);
      measured.push({
        tokens: first.promptTokens,
        runs: first.runs.decoder,
        firstMs: first.firstMs,
        tokenMs: (long.totalMs - short.totalMs) / 24,
        dispatches: (long.dispatches - short.dispatches) / 24,
      });
    }
    const [less, more] = measured;
    if (!less || !more) throw new Error('nothing was measured');
    const times = more.tokens / less.tokens;
    expect(times).toBeGreaterThan(3.8);
    expect(more.runs).toBeLessThanOrEqual(less.runs * times + 2);
    // How many steps are in flight beyond the last token differs from answer to answer.
    expect(more.dispatches).toBeLessThanOrEqual(less.dispatches * 1.1);
    // The times of a software GPU are not an application's.
    if (device === 'webgpu') return;
    // Attention's cost grows with the square of a prompt, and with the context for a token. Half as much again for other work
    // on this machine.
    expect(more.firstMs).toBeLessThan(less.firstMs * times ** 2 * 1.5);
    expect(more.tokenMs).toBeLessThan(less.tokenMs * times * 1.5);
  });
});
