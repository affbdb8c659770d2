/** The page and the runtime know engines by their interface only: one of a few lines answers through the whole stack. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fakeModel } from './fake-engine/fake-engine.ts';
import type { TestPage } from './harness/harness.ts';
import { openWorkerPage } from './harness/worker-page.ts';

let page: TestPage;

beforeAll(async () => {
  page = await openWorkerPage(new URL('fake-engine/worker.ts', import.meta.url));
});

afterAll(() => page?.[Symbol.asyncDispose]());

test('a fake engine answers the openai client, streamed and at once, and is probed, loaded and unloaded', async () => {
  const seen = await page.evaluate(async (model) => {
    const near = nearsight.createNearsight({ model, assets: { worker: '/test-worker.js' } });
    const client = new OpenAI({
      apiKey: 'none',
      baseURL: 'https://integrate.api.nvidia.com/v1',
      dangerouslyAllowBrowser: true,
      fetch: near.fetch,
    });
    const { verdict } = await near.probe();
    const messages = [{ role: 'user' as const, content: 'Who is there?' }];
    const { choices, usage } = await client.chat.completions.create({ model: 'fake', messages, n: 2 });
    const pieces: string[] = [];
    for await (const chunk of await client.chat.completions.create({ model: 'fake', messages, stream: true })) {
      pieces.push(chunk.choices[0]?.delta.content ?? '');
    }
    const { loaded } = await near.debugStats();
    const { facts } = near.status.value as { facts?: { hardware: string } };
    await near.unload();
    const { state } = near.status.value;
    near.dispose();
    const answers = choices.map(({ message, finish_reason }) => [message.content, finish_reason]);
    return { verdict, answers, tokens: usage?.completion_tokens, pieces: pieces.filter(Boolean), loaded, facts, state };
  }, fakeModel);
  expect(seen).toMatchObject({
    verdict: 'yes',
    answers: [
      ['Who is there?', 'stop'],
      ['Who is there?', 'stop'],
    ],
    tokens: 6,
    pieces: ['Who ', 'is ', 'there?'],
    loaded: 'fake',
    state: 'idle',
  });
  expect(page.foreign).toEqual([]);
});

test('a model that no engine supports is refused by its type, before anything is downloaded', async () => {
  const seen = await page.evaluate(
    async (model) => {
      const near = nearsight.createNearsight({ model, assets: { worker: '/test-worker.js' } });
      const { verdict, reason } = await near.probe();
      const code = await near.load().catch((error) => error.code);
      near.dispose();
      return { verdict, reason, code };
    },
    { ...fakeModel, modelType: 'llava' },
  );
  expect(seen).toEqual({
    verdict: 'no',
    reason: "fake cannot run here: no engine (fake) supports models of the type 'llava'.",
    code: 'unsupported_device',
  });
});
