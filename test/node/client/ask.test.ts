import { expect, test, vi } from 'vitest';
import { ask } from '../../../src/client/ask.ts';
import type { AskOptions, ImageInput } from '../../../src/client/options.ts';
import type { JSONSchema } from '../../../src/openai/types.ts';
import type { ChatJob } from '../../../src/protocol/job.ts';
import { ANSWER, partsOf, slowParts, START, text } from '../job-parts.ts';

const rules = { images: 3, imageBytes: 2, pixels: 9 };
const bytes = (...values: number[]): Uint8Array<ArrayBuffer> => Uint8Array.from(values);

/** What is yielded, and the job that was made. */
async function answer(
  image: ImageInput | readonly ImageInput[],
  options: AskOptions = { maxTokens: 4 },
): Promise<{ said: string[]; job: ChatJob | undefined }> {
  let job: ChatJob | undefined;
  const generate = async (making: Promise<ChatJob>) => {
    job = await making;
    return partsOf(...ANSWER);
  };
  const said: string[] = [];
  for await (const piece of ask({ session: { generate }, rules }, image, 'What?', options)) said.push(piece);
  return { said, job };
}

test('one image is sent before the question', async () => {
  const { said, job } = await answer(new Blob([bytes(7)]));
  expect(said).toEqual(['A red', ' ca', 't.']);
  const image = { type: 'image', bytes: bytes(7), detail: 'auto', param: 'image' };
  expect(job).toMatchObject({ maxTokens: 4, limits: { pixels: 9 }, sampling: { temperature: 0 } });
  expect(job?.turns).toEqual([{ role: 'user', parts: [image, { type: 'text', text: 'What?' }] }]);
});

test('several images are sent in their order, whatever form they have', async () => {
  const { job } = await answer([new Blob([bytes(1)]), bytes(2), 'data:image/png;base64,Aw==']);
  const parts = job?.turns[0]?.parts ?? [];
  expect(parts.map((part) => (part.type === 'image' ? [part.param, ...part.bytes] : part.text))).toEqual([
    ['image[0]', 1],
    ['image[1]', 2],
    ['image[2]', 3],
    'What?',
  ]);
});

test('an image that cannot be read is named by its index', async () => {
  const tooLarge = { code: 'unreadable_image', param: 'image[1]' };
  await expect(answer([bytes(1), bytes(1, 2, 3)])).rejects.toMatchObject(tooLarge);
  await expect(answer(bytes(1, 2, 3))).rejects.toMatchObject({ ...tooLarge, param: 'image' });
});

test('an abort ends an answer of which more has come than was read', async () => {
  const stop = new AbortController();
  const generate = async () => partsOf(...ANSWER);
  const said: string[] = [];
  const read = async (): Promise<void> => {
    const pieces = ask({ session: { generate }, rules }, bytes(1), 'What?', { signal: stop.signal });
    for await (const piece of pieces) {
      said.push(piece);
      stop.abort();
    }
  };
  await expect(read()).rejects.toMatchObject({ name: 'AbortError' });
  expect(said).toEqual(['A red']);
});

test('a schema of 20 objects in each other is one of the constraint', async () => {
  let schema: JSONSchema = { type: 'string' };
  for (let depth = 0; depth < 20; depth++) schema = { type: 'object', properties: { inner: schema } };
  expect((await answer(bytes(1), { schema })).job?.constraint).toMatchObject({ schema });
});

test('a schema is the constraint of the answer, as a copy in plain JSON', async () => {
  const schema = { type: 'object', properties: { b: {}, a: {} } };
  const { job } = await answer(bytes(1), { schema });
  expect(job?.constraint).toEqual({ type: 'json', schema, param: 'schema' });
  const proxied = new Proxy(schema, {});
  expect(structuredClone((await answer(bytes(1), { schema: proxied })).job?.constraint)).toEqual(job?.constraint);
  const { job: odd } = await answer(bytes(1), { schema: { title: undefined, maximum: Infinity } });
  expect(odd?.constraint).toStrictEqual({ type: 'json', schema: { maximum: null }, param: 'schema' });
  expect((await answer(bytes(1))).job?.constraint).toBeUndefined();
});

test('breaking out of the loop stops the answer', async () => {
  const { stream, cancelled } = slowParts(START, text('x'));
  const session = { generate: vi.fn(async () => stream) };
  for await (const _ of ask({ session, rules }, bytes(1), 'What?')) break;
  expect(cancelled()).toBe(true);
});
