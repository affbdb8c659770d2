// @module-tag nightly-in-chromium
/**
 * Structured output through the client libraries, unmodified in a real page: each asks glimpse for an object of a zod type by
 * its own means, and gets one that its own parser takes.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Way } from './page/structured.ts';
import type { TestPage } from './harness/harness.ts';
import { openUnrestrictedPage } from './harness/remote-page.ts';

let page: TestPage;

beforeAll(async () => {
  page = await openUnrestrictedPage();
});

afterAll(() => page[Symbol.asyncDispose]());

/** Asks in several ways, and says of each what is wrong with the value; also what the requests were. */
function ask(ways: readonly Way[]) {
  return page.evaluate(async (names) => {
    const { Thing, ways } = await loadStructured();
    const near = remotePage.make({ policy: 'local-only' });
    const outcomes: { way: string; parts: number; problem: string | undefined; value: string; strict: unknown }[] = [];
    for (const name of names) {
      let strict: unknown;
      const fetch: typeof globalThis.fetch = (url, init) => {
        strict = JSON.parse(init?.body as string).response_format?.type;
        return near.fetch(url, init);
      };
      try {
        const { value, parts } = await ways[name](fetch, remotePage.image);
        const { error } = Thing.safeParse(value);
        outcomes.push({ way: name, parts, problem: error?.message, value: JSON.stringify(value), strict });
      } catch (error) {
        outcomes.push({ way: name, parts: 0, problem: String(error), value: '', strict });
      }
    }
    near.dispose();
    return outcomes;
  }, ways);
}

const WHOLE = ['openai: parse', 'the AI SDK: generateText with an output', 'LangChain: invoke'] as const;
const STREAMED = ['openai: stream', 'the AI SDK: streamText with an output', 'LangChain: stream'] as const;
const OLDER = ['the AI SDK: generateObject', 'the AI SDK: streamObject'] as const;

test('openai, the AI SDK and LangChain get an object of a zod type, all the same one', async () => {
  const outcomes = await ask([...WHOLE, ...STREAMED]);
  expect(outcomes.filter(({ problem, strict }) => problem !== undefined || strict !== 'json_schema')).toEqual([]);
  expect(new Set(outcomes.map(({ value }) => value)).size).toBe(1);
  for (const { way, parts } of outcomes.slice(WHOLE.length, -1)) expect(parts, way).toBeGreaterThan(3);
});

test('the older functions of the AI SDK get it too', { tags: ['long'] }, async () => {
  const outcomes = await ask(OLDER);
  expect(outcomes.filter(({ problem, strict }) => problem !== undefined || strict !== 'json_schema')).toEqual([]);
  expect(outcomes[1]?.parts).toBeGreaterThan(3);
});
