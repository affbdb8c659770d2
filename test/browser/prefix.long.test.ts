// @module-tag long
// @module-tag nightly-in-chromium
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { installCounters, serveCounters } from '../../tools/counters.mjs';
import { openPage, type TestPage } from './harness/harness.ts';

declare global {
  // oxlint-disable-next-line no-var -- only `var` declares a global
  var prefix: {
    /** Asks about a square of that colour, or without an image if it is undefined. */
    ask(colour: string | undefined, chat: string[], extra?: object): Promise<Answer>;
    forget(): Promise<void>;
  };
  // oxlint-disable-next-line no-var -- only `var` declares a global
  var counters: import('../../tools/counters.mjs').Counters;
}

interface Answer {
  text: string;
  promptTokens: number;
  cachedTokens: number;
  /** Kernel dispatches; 0 on wasm. */
  dispatches: number;
}

/** Positions up to the end of a prompt's image: the tokens before it, and the features of one crop. */
const IMAGE_END = 14;

/** Runs in the page. All answers have the same length. */
async function install(device: 'webgpu' | 'wasm'): Promise<void> {
  const near = nearsight.createNearsight({ model: glimpse, device });
  await near.load();
  const square = (colour: string): string => {
    const canvas = document.createElement('canvas');
    canvas.width = canvas.height = 96;
    const context = canvas.getContext('2d')!;
    context.fillStyle = colour;
    context.fillRect(16, 16, 64, 64);
    return canvas.toDataURL('image/png');
  };
  const dispatches = async (): Promise<number> =>
    device === 'webgpu' ? (await counters.newest().take()).dispatches : 0;
  globalThis.prefix = {
    forget: () => near.forget(),
    async ask(colour, chat, extra) {
      const image = colour && { type: 'image_url', image_url: { url: square(colour) } };
      const messages = chat.map((text, index) => ({
        role: index % 2 === 0 ? 'user' : 'assistant',
        content: index === 0 && image ? [image, { type: 'text', text }] : text,
      }));
      const before = await dispatches();
      const response = await near.fetch('https://integrate.api.nvidia.com/v1/chat/completions', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'glimpse', messages, max_tokens: 4, logit_bias: { 1279: -100 }, ...extra }),
      });
      const { choices, usage, error } = await response.json();
      if (error) throw new Error(error.message);
      return {
        text: choices[0].message.content,
        promptTokens: usage.prompt_tokens,
        cachedTokens: usage.prompt_tokens_details.cached_tokens,
        dispatches: (await dispatches()) - before,
      };
    },
  };
}

describe.each(['wasm', 'webgpu'] as const)('on %s', (device) => {
  let page: TestPage;
  const ask = (...args: Parameters<typeof prefix.ask>): Promise<Answer> =>
    page.evaluate((...args) => prefix.ask(...args), ...args);

  beforeAll(async () => {
    page = await openPage({ answer: serveCounters });
    await page.evaluate(installCounters);
    await page.evaluate(install, device);
  }, 240_000);

  afterAll(() => page[Symbol.asyncDispose]());

  test('an image is encoded once, for any number of questions about it', async () => {
    const question = 'What colour is this?';
    const first = await ask('red', [question]);
    const again = await ask('red', [question]);
    expect(again).toMatchObject({ text: first.text, cachedTokens: first.promptTokens - 1 });
    const another = await ask('red', ['Is it large?']);
    const followUp = await ask('red', [question, first.text, 'And its shape?']);
    expect(another.cachedTokens).toBeGreaterThanOrEqual(IMAGE_END);
    expect(followUp.cachedTokens).toBeGreaterThanOrEqual(first.promptTokens);
    expect(first.cachedTokens).toBe(0);
    if (device === 'wasm') return;
    // Neither takes more GPU work than a question without an image: the vision encoder does not run.
    const without = await ask(undefined, ['Is it large?'], { cache: false });
    expect(first.dispatches).toBeGreaterThan(without.dispatches * 1.2);
    expect(another.dispatches).toBeLessThan(without.dispatches * 1.05);
    expect(followUp.dispatches).toBeLessThan(without.dispatches * 1.05);
  });

  test('another image at the same position is not confused with it', async () => {
    const red = await ask('red', ['What colour is this?']);
    const blue = await ask('blue', ['What colour is this?']);
    expect(blue.cachedTokens).toBe(0);
    expect(blue.text).toBe((await ask('blue', ['What colour is this?'], { cache: false })).text);
    expect(red.text).toBe((await ask('red', ['What colour is this?'], { cache: false })).text);
  });

  test('interleaved conversations get the same answers as without a cache', async () => {
    const chats: { colour: string | undefined; chat: string[] }[] = [
      { colour: 'green', chat: [] },
      { colour: 'yellow', chat: [] },
      { colour: undefined, chat: [] },
    ];
    const questions = ['What colour is this?', 'Is it large?', 'And its shape?'];
    for (const round of device === 'wasm' ? [0, 1, 2, 3, 4, 5, 6, 7, 8] : [0, 1, 3, 4]) {
      const { colour, chat } = chats[round % 3]!;
      chat.push(questions[(round + Math.floor(round / 3)) % 3]!);
      const warm = await ask(colour, chat);
      const cold = await ask(colour, chat, { cache: false });
      expect(cold).toMatchObject({ cachedTokens: 0, text: warm.text });
      expect(warm.cachedTokens).toBeGreaterThanOrEqual(round >= 3 && colour ? IMAGE_END : 0);
      chat.push(warm.text);
    }
  });

  test('forget() empties the cache', async () => {
    await ask('red', ['Is it large?']);
    await page.evaluate(() => prefix.forget());
    expect(await ask('red', ['Is it large?'])).toMatchObject({ cachedTokens: 0 });
  });
});
