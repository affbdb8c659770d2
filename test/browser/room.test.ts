/** Keys and values of answers whose length a request leaves open: room in steps, and none at all. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { browserName, type TestPage } from './harness/harness.ts';
import { openLab } from './harness/lab.ts';

declare global {
  // oxlint-disable-next-line no-var -- only `var` declares a global
  var room: {
    near: import('nearsight').Nearsight;
    /** Text of at least so many characters, of an answer that does not end by itself; and sizes of rooms made for it. */
    read(extra: object, characters: number): Promise<{ text: string; rooms: number[] }>;
  };
}

let page: TestPage;

beforeAll(async () => {
  page = await openLab();
  await page.evaluate(async () => {
    const near = lab.make('webgpu');
    await near.load();
    // With what is reserved for an answer, just under a block of 256 positions.
    const messages = [{ role: 'user', content: 'Is it red? '.repeat(36) }];
    const read: typeof room.read = async (extra, characters) => {
      const { rooms: before } = await sabotage.order('count');
      const asked = { messages, stream: true, cache: false, logit_bias: { 1279: -100 }, ...extra };
      const response = await lab.ask(near, asked);
      let text = '';
      let unread = '';
      for await (const piece of response.body!.pipeThrough(new TextDecoderStream())) {
        const events = (unread + piece).split('\n\n');
        unread = events.pop() ?? '';
        for (const event of events) {
          const { choices, error } = event.includes('[DONE]') ? {} : JSON.parse(event.slice('data: '.length));
          if (error) throw new Error(error.message);
          text += choices?.[0]?.delta.content ?? '';
        }
        if (text.length >= characters) break;
      }
      const { rooms } = await sabotage.order('count');
      return { text, rooms: rooms.slice(before.length) };
    };
    globalThis.room = { near, read };
  });
}, 240_000);

afterAll(() => page[Symbol.asyncDispose]());

const SAMPLED = ['sampled', { temperature: 1, seed: 7, top_p: 0.9 }] as const;
// SwiftShader takes most of a minute for each.
const few = browserName === 'chromium' && process.env['NEARSIGHT_LONG'] !== '1';

test.each(few ? [SAMPLED] : [['greedy', {}] as const, SAMPLED])(
  'an answer of open length grows past its room, and is the same: %s',
  { timeout: 600_000 },
  async (_, sampling) => {
    const { whole, open, longest } = await page.evaluate(async (sampling) => {
      const whole = await room.read({ ...sampling, max_tokens: 80 }, Infinity);
      const open = await room.read({ ...sampling, max_tokens: undefined }, whole.text.length);
      return { whole, open, longest: whole.text.length };
    }, sampling);
    const tensors = whole.rooms.length;
    const size = whole.rooms[0]!;
    expect(whole.rooms).toEqual(Array.from({ length: tensors }, () => size));
    // Half of it at first, 256 positions.
    const made = (share: number): number[] => Array.from({ length: tensors }, () => size * share);
    expect(open.rooms).toEqual([...made(1 / 2), ...made(1)]);
    expect(open.text.slice(0, longest)).toBe(whole.text);
  },
);

test('what there is no memory for is a 400 that says what to set, and what needs less is answered', async () => {
  const result = await page.evaluate(async () => {
    const near = lab.make('webgpu');
    const right = await lab.works(near);
    await sabotage.order('limit');
    const response = await lab.ask(near, { max_tokens: 1000 });
    const { error } = await response.json();
    const retry = response.headers.get('x-should-retry');
    const works = await lab.works(near);
    const { state } = near.status.value;
    near.dispose();
    return { right, status: response.status, retry, error, works, state, workers: sabotage.workers.length };
  });
  expect(result).toMatchObject({ right: true, status: 400, retry: 'false', works: true, state: 'ready', workers: 2 });
  expect(result.error).toMatchObject({ code: 'context_length_exceeded', param: 'max_tokens' });
  expect(result.error.message).toMatch(/no memory for the keys and values of \d+ tokens \(\d+ MB\)\. Set max_tokens/);
});
