import { expect, test } from 'vitest';
import { measure, type MeasureOptions } from '../../../demo/measure.ts';

interface Asked {
  model: string;
  messages: { role: string; content: unknown }[];
  max_tokens: number;
  ignore_eos: boolean;
}

const bodyOf = (init: RequestInit | undefined): string => (typeof init?.body === 'string' ? init.body : '');

/** A device with these times in milliseconds, and a clock that stands still between its answers. */
function device({ image = 1000, token = 10, promptToken = 1, late = (_request: Asked) => 0 }) {
  let clock = 0;
  const asked: Asked[] = [];
  const headers: Headers[] = [];
  const read = new Set<string>();
  const fetch: typeof globalThis.fetch = async (_url, init) => {
    init?.signal?.throwIfAborted();
    const request: Asked = JSON.parse(bodyOf(init));
    asked.push(request);
    headers.push(new Headers(init?.headers));
    const key = JSON.stringify(request.messages);
    const words = key.split(' ').length;
    const [content] = request.messages.map((message) => JSON.stringify(message.content));
    const isNew = content?.includes('image_url') && !read.has(content);
    clock += late(request) + (isNew ? image : 0) + (read.has(key) ? promptToken : words * promptToken) + token;
    read.add(key).add(content ?? '');
    const delta = { content: 'a'.repeat(request.max_tokens) };
    const events = [
      { choices: [{ delta }] },
      { choices: [], usage: { prompt_tokens: words, completion_tokens: request.max_tokens } },
    ];
    const body = new ReadableStream(
      {
        pull(controller) {
          clock += (request.max_tokens - 1) * token;
          const text = events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join('');
          controller.enqueue(new TextEncoder().encode(`${text}data: [DONE]\n\n`));
          controller.close();
        },
      },
      { highWaterMark: 0 },
    );
    return new Response(body);
  };
  let images = 0;
  const options: MeasureOptions = {
    fetch,
    model: 'glimpse',
    contexts: [100, 600],
    newImage: async () => `data:image/png;base64,${images++}`,
    onProgress: () => {},
    signal: new AbortController().signal,
    now: () => clock,
  };
  return { options, asked, headers };
}

test('gives the times of new images, of follow-ups, and of a token at both lengths', async () => {
  const { options, asked, headers } = device({ image: 1000, token: 10 });
  const { rows, leftOut } = await measure(options);
  expect(leftOut).toEqual([]);
  expect(rows.map((row) => row.measure)).toEqual(['image', 'follow-up', 'decode', 'decode']);
  const [image, followUp, short, long] = rows;
  expect(image?.samples).toHaveLength(3);
  expect(image?.ms).toBeGreaterThan(1000);
  expect(followUp?.ms).toBeLessThan(100);
  expect(short?.samples).toEqual([10, 10, 10]);
  expect(long?.ms).toBe(10);
  expect(short?.tokens).toBeGreaterThan(90);
  expect(short?.tokens).toBeLessThan(110);
  expect(long?.tokens).toBeGreaterThan(590);
  expect(long?.tokens).toBeLessThan(610);
  expect(asked.every((request) => request.ignore_eos && request.model === 'glimpse')).toBe(true);
  expect(headers.every((sent) => sent.get('x-nearsight-policy') === 'local-only')).toBe(true);
});

test('a slow device gets fewer samples and shorter answers', async () => {
  const { options, asked } = device({ image: 20_000, token: 400 });
  const { rows } = await measure(options);
  expect(rows.map(({ samples }) => samples.length)).toEqual([1, 1, 2, 2]);
  expect(Math.max(...asked.map((request) => request.max_tokens))).toBe(12);
});

test('no token takes less than no time, where a short answer was held up', async () => {
  let held = 0;
  const late = ({ max_tokens }: Asked): number => (max_tokens === 4 && held++ === 0 ? 400 : 0);
  const { rows } = await measure(device({ token: 10, late }).options);
  expect(rows[2]).toMatchObject({ samples: [0, 10, 10], ms: 10 });
});

test('what there is no time for is left out', async () => {
  const { options } = device({});
  const time = new AbortController();
  const hangs: typeof globalThis.fetch = (url, init) => {
    if (!bodyOf(init).includes('and then a dog')) return options.fetch(url, init);
    return new Promise((_, reject) => {
      init?.signal?.addEventListener('abort', () => reject(init.signal?.reason as Error));
      time.abort();
    });
  };
  const { rows, leftOut } = await measure({ ...options, fetch: hangs, timeOver: time.signal });
  expect(rows.map((row) => row.measure)).toEqual(['image', 'follow-up']);
  expect(leftOut).toEqual(['answers after 100 tokens', 'answers after 600 tokens']);
});

test('the visitor stops it', async () => {
  const { options } = device({});
  const abort = new AbortController();
  const measuring = measure({ ...options, signal: abort.signal, onProgress: () => abort.abort(new Error('stopped')) });
  await expect(measuring).rejects.toThrow('stopped');
});

test('an error of the model ends it, in a response and in a stream', async () => {
  const { options } = device({});
  const error = { error: { message: 'the GPU was lost', code: 'device_lost' } };
  for (const response of [
    () => Response.json(error, { status: 500 }),
    () => new Response(`data: ${JSON.stringify(error)}\n\n`),
  ]) {
    await expect(measure({ ...options, fetch: async () => response() })).rejects.toThrow('the GPU was lost');
  }
});
