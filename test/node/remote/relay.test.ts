/** The relay by itself: streams that end or break at any byte, events of any size, all kinds of line ends. */
import { createParser, type EventSourceMessage } from 'eventsource-parser';
import { describe, expect, it, vi } from 'vitest';
import { relayEvents } from '../../../src/remote/relay.ts';
import { STREAMS } from '../../nim/streams.ts';

/** Bytes and chunks since the relay yielded, and their maximum. */
const turn = vi.hoisted(() => ({ cost: 0, max: 0 }));

vi.mock('../../../src/async/yield-to-events.ts', async (original) => {
  const { yieldToEvents } = await original<typeof import('../../../src/async/yield-to-events.ts')>();
  return {
    yieldToEvents: async (signal?: AbortSignal) => {
      await yieldToEvents(signal);
      turn.cost = 0;
    },
  };
});

type Bytes = Uint8Array<ArrayBuffer>;
const LIMIT = 8 * 1024 * 1024;
const encode = (text: string): Bytes => new TextEncoder().encode(text);

/** A body that has these chunks at once and then ends, or breaks off. */
function body(chunks: Iterable<Bytes>, { breaks = false, onCancel = (_reason: unknown): void => {} } = {}) {
  const left = chunks[Symbol.iterator]();
  return new ReadableStream<Bytes>(
    {
      pull(controller) {
        const { done, value } = left.next();
        if (!done) controller.enqueue(value);
        else if (breaks) controller.error(new TypeError('network error'));
        else controller.close();
      },
      cancel: onCancel,
    },
    { highWaterMark: 0 },
  );
}

function* cut(bytes: Bytes, size: number): Generator<Bytes> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.slice(at, at + size);
}

const relayed = (stream: ReadableStream<Bytes>, model?: string): Promise<string> =>
  new Response(relayEvents(stream, model)).text();

/** The complete events of a text, and the rest. */
function parse(text: string): { events: EventSourceMessage[]; rest: string } {
  const events: EventSourceMessage[] = [];
  const parser = createParser({ onEvent: (event) => events.push(event) });
  // The parser waits to see whether a CR at the end is half a line end.
  parser.feed(text.endsWith('\r') ? `${text}\n` : text);
  return { events, rest: text.replaceAll(/\r\n?/g, '\n').replace(/^(.*\n)?\n|^\n/s, '') };
}

const isError = ({ event, data }: EventSourceMessage): boolean =>
  event === 'error' || /^\{"(error|object":"error")/.test(data);
const isDone = ({ data }: EventSourceMessage): boolean => data === '[DONE]';
const dataOf = (events: readonly EventSourceMessage[]): string[] => events.map(({ data }) => data);

describe('a stream that ends at any byte', () => {
  const passed = STREAMS.filter(({ status }) => status === undefined);
  const recorded = passed.filter(({ name }) => !['in-one-piece', 'five-by-five', 'cut', 'hang'].includes(name));

  it.each(recorded)('$name', async ({ chunks }) => {
    const bytes = new Uint8Array(Buffer.concat(chunks.map((chunk) => Buffer.from(chunk))));
    for (let length = 0; length <= bytes.length; length++) {
      const sent = bytes.slice(0, length);
      const { events, rest } = parse(new TextDecoder().decode(sent));
      for (const breaks of [false, true]) {
        const got = parse(await relayed(body([sent], { breaks })));
        const what = `${breaks ? 'broken' : 'ended'} after ${length} bytes`;
        expect(got.rest, what).toBe('');
        // Complete events only.
        const ok = (event: EventSourceMessage): boolean => !isError(event);
        const lastDone = !breaks && /^data: ?\[DONE\]\s*$/.test(rest) ? ['[DONE]'] : [];
        expect(dataOf(got.events.filter(ok)), what).toEqual([...dataOf(events.filter(ok)), ...lastDone]);
        const finished = !breaks && rest === '' && events.some(({ data }) => data.includes('"finish_reason":"stop"'));
        const over = finished || events.some(isError) || events.some(isDone) || lastDone.length > 0;
        const errors = got.events.filter(isError);
        expect(errors, what).toHaveLength(events.filter(isError).length + (over ? 0 : 1));
        for (const { data } of errors) {
          expect(JSON.parse(data), what).toMatchObject({ error: { message: /./, code: /./, type: /_error$/ } });
        }
      }
    }
  });

  it('says whether it ended or broke off', async () => {
    const chunk = encode('data: {"choices":[{"index":0,"finish_reason":null}]}\n');
    expect(await relayed(body([chunk]))).toMatch(
      /^data: \{"error":\{"message":"[^"]*ended[^"]*".*"remote_unavailable"/,
    );
    expect(await relayed(body([chunk], { breaks: true }))).toMatch(
      /^data: \{"error":\{"message":"[^"]*broke off[^"]*".*"remote_unavailable"/,
    );
  });

  it('is complete without [DONE] only when each choice has finished', async () => {
    const choice = (index: number, reason: string | null): string =>
      `data: ${JSON.stringify({ choices: [{ index, finish_reason: reason }] })}\n\n`;
    const begun = choice(0, null) + choice(1, null);
    expect(await relayed(body([encode(begun + choice(1, 'stop'))]))).toContain('"remote_unavailable"');
    expect(await relayed(body([encode(begun + choice(1, 'stop') + choice(0, 'stop'))]))).not.toContain('error');
  });
});

describe('line ends', () => {
  const lines = [
    'id: 7',
    'retry: 9',
    ': note',
    'data: {"choices":[],"model":"far ✓"}',
    '',
    ': ping',
    '',
    'data: [DONE]',
    '',
    '',
  ];

  it.each([
    ['LF', '\n'],
    ['CR', '\r'],
    ['CRLF', '\r\n'],
  ])('of %s, cut anywhere, with a BOM', async (_name, end) => {
    const sent = `\uFEFF${lines.join(end)}`;
    for (const size of [1, 2, 3, 5, 7, 1000]) {
      // The LF of the last CRLF may come after [DONE], and is dropped then.
      expect((await relayed(body(cut(encode(sent), size)))).trimEnd()).toBe(sent.slice(1).trimEnd());
      const renamed = parse(await relayed(body(cut(encode(sent), size)), 'near'));
      expect(renamed.events).toMatchObject([{ id: '7', data: '{"choices":[],"model":"near"}' }, { data: '[DONE]' }]);
    }
  });

  it('do not delay a keep-alive or an event that CRs end', async () => {
    let feed = (_text: string): void => {};
    const source = new ReadableStream<Bytes>({
      start: (controller) => {
        feed = (text) => controller.enqueue(encode(text));
      },
    });
    const reader = relayEvents(source).getReader();
    for (const text of [': ping\n', ': ping\r\n', 'data: {}\r\r', 'data: {}\r\n\r\n']) {
      feed(text);
      expect(new TextDecoder().decode((await reader.read()).value)).toBe(text);
    }
    await reader.cancel();
  });

  it('data of several lines is one event', async () => {
    const text = 'data: {"choices":[],\ndata: "model":"far"}\n\ndata\n\ndata: [DONE]\n\n';
    expect(await relayed(body([encode(text)]))).toBe(text);
    const { events } = parse(await relayed(body([encode(text)]), 'near'));
    expect(dataOf(events)).toEqual(['{"choices":[],"model":"near"}', '', '[DONE]']);
  });
});

describe('events of any size', () => {
  const large = (bytes: number, tail = ''): string => {
    const head = 'data: {"model":"far","choices":[{"delta":{"content":"✓';
    return `${head}${'x'.repeat(bytes - head.length - 8)}"}}]}${tail}`;
  };

  it('pass in linear time', async () => {
    const sent = encode(`${large(LIMIT - 100)}\n\ndata: [DONE]\n\n`);
    for (const size of [1400, sent.length]) {
      const began = performance.now();
      const got = new TextDecoder().decode(
        await new Response(relayEvents(body(cut(sent, size)), 'near')).arrayBuffer(),
      );
      // Quadratic work on these bytes takes half a minute.
      expect(performance.now() - began).toBeLessThan(10_000);
      expect(got === new TextDecoder().decode(sent).replace('"far"', '"near"')).toBe(true);
    }
  });

  it.each([
    ['a line', 'x'.repeat(1 << 16)],
    ['an event', `data: ${'x'.repeat(1 << 16)}\n`],
    ['lines without end', 'data:\n'.repeat(1 << 13)],
  ])('over 8 MiB are an error, and the end: %s', async (_what, text) => {
    let sent = 0;
    let reason: unknown;
    const endless = (function* (): Generator<Bytes> {
      yield encode('data: {"choices":[]}\n\n');
      for (;;) {
        sent += text.length;
        yield encode(text);
      }
    })();
    const stream = relayEvents(body(endless, { onCancel: (why) => (reason = why) }));
    const got = parse(await new Response(stream).text());
    expect(dataOf(got.events)).toEqual(['{"choices":[]}', expect.stringContaining(`more than ${LIMIT} bytes`)]);
    expect(JSON.parse(got.events[1]?.data ?? '')).toMatchObject({ error: { code: 'remote_unavailable' } });
    expect(sent).toBeLessThan(LIMIT + 3 * text.length);
    expect(reason).toMatchObject({ code: 'remote_unavailable' });
  });

  it.each([
    ['by its name', 'event: error\ndata: ', 'Engine died. ✓'],
    ['by its body', 'data: {"error":{"message":"', 'Engine died. ✓'],
    ['by its kind', 'data: {"object":"error","message":"', 'Engine died. ✓'],
  ])('that are errors get the envelope: %s', async (_how, head, words) => {
    const text = `${head}${words}${' ✓'.repeat(1 << 17)}"}}\n\n`;
    const { events } = parse(await relayed(body([encode(text)])));
    expect(events).toHaveLength(1);
    const { error } = JSON.parse(events[0]?.data ?? '') as { error: { message: string } };
    expect(error.message).toContain(words);
    expect(error.message.length).toBeLessThan(1000);
  });

  it.each<[string, Iterable<Bytes>]>([
    ['one chunk', [encode(large(4e6, '\n\n'))]],
    ['one chunk of small events', [encode('data: {"choices":[]}\n\n'.repeat(1e5))]],
    ['many small chunks', cut(encode(large(1e6)), 10)],
    ['a line of many chunks', cut(encode(large(4e6)), 1400)],
  ])('are handled in short turns: %s', async (_what, chunks) => {
    // Counted, not timed: between two yields, the bytes and chunks that were taken and given. test/browser times it.
    turn.cost = 0;
    turn.max = 0;
    const count = (bytes: number): void => {
      turn.cost += bytes + 100;
      turn.max = Math.max(turn.max, turn.cost);
    };
    const counted = (function* (): Generator<Bytes> {
      for (const chunk of chunks) {
        count(Math.min(chunk.length, 1000));
        yield chunk;
      }
    })();
    const reader = relayEvents(body(counted), 'near').getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) count(part.value.length);
    expect(turn.max).toBeLessThan(200_000);
  });
});

describe('the reader', () => {
  it('decides how much is read', async () => {
    let sent = 0;
    const source = (function* (): Generator<Bytes> {
      for (; ; sent++) yield encode('data: {"choices":[]}\n\n');
    })();
    const reader = relayEvents(body(source)).getReader();
    for (let i = 0; i < 5; i++) await reader.read();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(sent).toBeLessThanOrEqual(5);
    await reader.cancel();
  });

  it('cancels the remote, even while the remote is silent', async () => {
    const reason = new Error('enough');
    let heard: unknown;
    const silent = new ReadableStream<Bytes>({ cancel: (why) => void (heard = why) });
    const reader = relayEvents(silent).getReader();
    const read = reader.read();
    await reader.cancel(reason);
    expect(heard).toBe(reason);
    expect(await read).toMatchObject({ done: true });
  });

  it('gets the reason of an abort, even in the middle of a large event', async () => {
    const caller = new AbortController();
    const text = encode(`data: {"choices":[],"x":"${'x'.repeat(1e6)}"}\n\n`);
    const reader = relayEvents(body([text]), undefined, caller.signal).getReader();
    await reader.read();
    const reason = new Error('enough');
    caller.abort(reason);
    await expect(reader.read()).rejects.toBe(reason);
  });
});
