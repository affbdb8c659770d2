// @module-tag long
// @module-tag nightly-in-chromium
/** The KV cache of answers without `max_tokens`: it grows in steps, and may run out of memory. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { isLeftOut } from './harness/engine.ts';
import { nightlyInChromium, type TestPage } from './harness/harness.ts';
import { openTestPage } from './harness/test-page.ts';

declare global {
  // oxlint-disable-next-line no-var -- only `var` declares a global
  var kvTest: {
    /** A request without `max_tokens` whose answer does not end, and outgrows the first KV cache after some 70 tokens. */
    open: object;
    /** Reads at least `characters` of the answer. Also returns the sizes of the KV buffers that were created for it. */
    read(
      near: import('nearsight').Nearsight,
      extra: object,
      characters: number,
    ): Promise<{ text: string; kvBufferSizes: number[]; sizeBefore: number | undefined }>;
    /** The events of a stream, `[DONE]` included. */
    events(response: Response): AsyncGenerator<string>;
  };
}

let page: TestPage;

beforeAll(async () => {
  page = await openTestPage();
  await page.evaluate(async () => {
    async function* events(response: Response): AsyncGenerator<string> {
      let unread = '';
      for await (const piece of response.body!.pipeThrough(new TextDecoderStream())) {
        const whole = (unread + piece).split('\n\n');
        unread = whole.pop() ?? '';
        for (const event of whole) yield event.slice('data: '.length);
      }
    }
    // The prompt and what is reserved for an answer take just under 384 positions, which the KV cache has after a load.
    const messages = [{ role: 'user', content: 'Is it red? '.repeat(58) }];
    const open = { messages, stream: true, cache: false, logit_bias: { 1279: -100 }, max_tokens: undefined };
    const read: typeof kvTest.read = async (near, extra, characters) => {
      const { kvBufferSizes: before } = await faults.command('count');
      let text = '';
      for await (const event of events(await testPage.ask(near, { ...open, ...extra }))) {
        const { choices, error } = event === '[DONE]' ? {} : JSON.parse(event);
        if (error) throw new Error(error.message);
        text += choices?.[0]?.delta.content ?? '';
        if (text.length >= characters) break;
      }
      const { kvBufferSizes } = await faults.command('count');
      return { text, kvBufferSizes: kvBufferSizes.slice(before.length), sizeBefore: before.at(-1) };
    };
    globalThis.kvTest = { open, read, events };
  });
}, 240_000);

afterAll(() => page[Symbol.asyncDispose]());

test.skipIf(isLeftOut('kv-out-of-memory.long: outgrows')).each<[string, object]>([
  ['greedy', {}],
  ['sampled', { temperature: 1, seed: 7, top_p: 0.9 }],
])(
  'an answer without max_tokens outgrows its first KV cache and stays the same: %s',
  { timeout: 600_000, ...nightlyInChromium },
  async (_, sampling) => {
    const { whole, open } = await page.evaluate(async (sampling) => {
      const near = testPage.make('webgpu');
      try {
        await near.load();
        const open = await kvTest.read(near, sampling, 800);
        const whole = await kvTest.read(near, { ...sampling, max_tokens: 300 }, open.text.length);
        return { whole, open };
      } finally {
        near.dispose();
      }
    }, sampling);
    // All buffers were replaced by larger ones, once; those have space for the other answer as well.
    expect(open.kvBufferSizes.length).toBeGreaterThan(0);
    expect(new Set(open.kvBufferSizes)).toEqual(new Set([2 * (open.sizeBefore ?? NaN)]));
    expect(whole.kvBufferSizes).toEqual([]);
    const length = Math.min(open.text.length, whole.text.length);
    expect(length).toBeGreaterThanOrEqual(800);
    expect(open.text.slice(0, length)).toBe(whole.text.slice(0, length));
  },
);

test(
  'a request that needs more memory than there is is refused, and a smaller one is answered',
  { timeout: 300_000 },
  async () => {
    const result = await page.evaluate(async () => {
      const before = faults.workers.length;
      const near = testPage.make('webgpu');
      const right = await testPage.works(near);
      await faults.command('limit');
      const response = await testPage.ask(near, { max_tokens: 1000 });
      const { error } = await response.json();
      const retry = response.headers.get('x-should-retry');
      const events: string[] = [];
      for await (const event of kvTest.events(await testPage.ask(near, { ...kvTest.open, n: 2 }))) events.push(event);
      const works = await testPage.works(near);
      const { state } = near.status.value;
      near.dispose();
      const started = faults.workers.length - before;
      return { right, status: response.status, retry, error, events, works, state, started };
    });
    expect(result).toMatchObject({ right: true, status: 400, retry: 'false', works: true, state: 'ready', started: 1 });
    expect(result.error).toMatchObject({ code: 'context_length_exceeded', param: 'max_tokens' });
    expect(result.error.message).toMatch(
      /no memory for the keys and values of \d+ tokens \(\d+ MB\)\. Set or lower max_tokens/,
    );
    // When memory runs out during an answer, the answer ends there and its text is kept.
    expect(result.events.pop()).toBe('[DONE]');
    const choices = result.events.flatMap((event) => JSON.parse(event).choices);
    const [one, other] = [0, 1].map((index) => choices.filter((choice) => choice.index === index));
    for (const parts of [one, other]) expect(parts?.at(-1)).toMatchObject({ finish_reason: 'length' });
    const text = (parts: typeof choices = []): string => parts.map(({ delta }) => delta.content ?? '').join('');
    const [shorter = '', longer] = [text(one), text(other)].toSorted((a, b) => a.length - b.length);
    expect(shorter).not.toBe('');
    // Greedy answers are the same up to the point where memory ran out.
    expect(longer?.startsWith(shorter)).toBe(true);
  },
);
