/** Keys and values of answers whose length a request leaves open: room in steps, and none at all. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { browserName, type TestPage } from './harness/harness.ts';
import { openLab } from './harness/test-page.ts';

declare global {
  // oxlint-disable-next-line no-var -- only `var` declares a global
  var room: {
    /** A request whose answer has no end, and outgrows the first room after some seventy tokens. */
    open: object;
    /** Text of at least so many characters, of an answer that does not end by itself; and sizes of rooms made for it. */
    read(extra: object, characters: number): Promise<{ text: string; rooms: number[] }>;
    /** Events as they come, `[DONE]` included. */
    events(response: Response): AsyncGenerator<string>;
  };
}

let page: TestPage;

beforeAll(async () => {
  page = await openLab();
  await page.evaluate(async () => {
    const near = lab.make('webgpu');
    await near.load();
    async function* events(response: Response): AsyncGenerator<string> {
      let unread = '';
      for await (const piece of response.body!.pipeThrough(new TextDecoderStream())) {
        const whole = (unread + piece).split('\n\n');
        unread = whole.pop() ?? '';
        for (const event of whole) yield event.slice('data: '.length);
      }
    }
    // With what is reserved for an answer, just under a block of 256 positions.
    const messages = [{ role: 'user', content: 'Is it red? '.repeat(36) }];
    const open = { messages, stream: true, cache: false, logit_bias: { 1279: -100 }, max_tokens: undefined };
    const read: typeof room.read = async (extra, characters) => {
      const { rooms: before } = await sabotage.order('count');
      let text = '';
      for await (const event of events(await lab.ask(near, { ...open, ...extra }))) {
        const { choices, error } = event === '[DONE]' ? {} : JSON.parse(event);
        if (error) throw new Error(error.message);
        text += choices?.[0]?.delta.content ?? '';
        if (text.length >= characters) break;
      }
      const { rooms } = await sabotage.order('count');
      return { text, rooms: rooms.slice(before.length) };
    };
    globalThis.room = { open, read, events };
  });
}, 240_000);

afterAll(() => page[Symbol.asyncDispose]());

// SwiftShader takes most of a minute for a hundred tokens, of which each of these asks for more.
const tags = browserName === 'chromium' ? ['long'] : [];

test.each<[string, object]>([
  ['greedy', {}],
  ['sampled', { temperature: 1, seed: 7, top_p: 0.9 }],
])(
  'an answer of open length grows past its room, and is the same: %s',
  { timeout: 600_000, tags },
  async (_, sampling) => {
    const { whole, open, longest } = await page.evaluate(async (sampling) => {
      const whole = await room.read({ ...sampling, max_tokens: 80 }, Infinity);
      const open = await room.read(sampling, whole.text.length);
      return { whole, open, longest: whole.text.length };
    }, sampling);
    const tensors = whole.rooms.length;
    const size = whole.rooms[0]!;
    expect(tensors).toBeGreaterThan(0);
    expect(whole.rooms).toEqual(Array.from({ length: tensors }, () => size));
    // Half of it at first, 256 positions.
    const made = (share: number): number[] => Array.from({ length: tensors }, () => size * share);
    expect(open.rooms).toEqual([...made(1 / 2), ...made(1)]);
    expect(open.text.slice(0, longest)).toBe(whole.text);
  },
);

test(
  'what there is no memory for is refused, and what needs less is answered',
  { timeout: 300_000, tags },
  async () => {
    const result = await page.evaluate(async () => {
      const before = sabotage.workers.length;
      const near = lab.make('webgpu');
      const right = await lab.works(near);
      await sabotage.order('limit');
      const response = await lab.ask(near, { max_tokens: 1000 });
      const { error } = await response.json();
      const retry = response.headers.get('x-should-retry');
      const events: string[] = [];
      for await (const event of room.events(await lab.ask(near, { ...room.open, n: 2 }))) events.push(event);
      const works = await lab.works(near);
      const { state } = near.status.value;
      near.dispose();
      const started = sabotage.workers.length - before;
      return { right, status: response.status, retry, error, events, works, state, started };
    });
    expect(result).toMatchObject({ right: true, status: 400, retry: 'false', works: true, state: 'ready', started: 1 });
    expect(result.error).toMatchObject({ code: 'context_length_exceeded', param: 'max_tokens' });
    expect(result.error.message).toMatch(/no memory for the keys and values of \d+ tokens \(\d+ MB\)\. Set max_tokens/);
    // In the middle of an answer it is the end of that one, and what there is of it is kept.
    expect(result.events.pop()).toBe('[DONE]');
    const choices = result.events.flatMap((event) => JSON.parse(event).choices);
    const [one, other] = [0, 1].map((index) => choices.filter((choice) => choice.index === index));
    for (const parts of [one, other]) expect(parts?.at(-1)).toMatchObject({ finish_reason: 'length' });
    const text = (parts: typeof choices = []): string => parts.map(({ delta }) => delta.content ?? '').join('');
    const [shorter = '', longer] = [text(one), text(other)].toSorted((a, b) => a.length - b.length);
    expect(shorter).not.toBe('');
    // Greedy answers are the same, as far as each was read when memory ran out.
    expect(longer?.startsWith(shorter)).toBe(true);
  },
);
