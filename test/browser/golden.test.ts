import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { engine } from './harness/engine.ts';
import { browserName, openPage, slowInChromium, type TestPage } from './harness/harness.ts';

interface Message {
  role: string;
  content: string | { type: string; text?: string; image_url?: { url: string; detail?: string } }[];
}

interface Case {
  name: string;
  messages: Message[];
  split: boolean;
  /** Constrains the answer. */
  fields?: object;
  input_ids: number[];
  answer: { ids: number[]; text: string };
}

const folder = new URL('../fixtures/glimpse/', import.meta.url);
const file = readFileSync(new URL('golden.json', folder), 'utf8');
const { cases, constrained } = JSON.parse(file) as { cases: Case[]; constrained: Case[] };

/** One case of each form. On a software GPU a token takes a second, so the other cases are long tests. */
const forms = ['dog', 'split-square', 'two-pictures', 'follow-up', 'no-picture'];
const chosen = {
  wasm: [...cases, ...constrained],
  webgpu: cases.filter(({ name }) => forms.includes(name)),
  /** With the embedding table in half precision, which our own kernel reads without `shader-f16`. */
  halves: cases.filter(({ name }) => ['dog', 'no-picture'].includes(name)),
};

/** The request as a client sends it, with images as `data:` URLs. */
function request({ messages, split, fields, answer }: Case): string {
  const inline = (content: Message['content']): Message['content'] =>
    typeof content === 'string'
      ? content
      : content.map((part) => {
          if (!part.image_url) return part;
          const { url } = part.image_url;
          const type = url.slice(url.lastIndexOf('.') + 1).replace('jpg', 'jpeg');
          const data = readFileSync(new URL(url, folder)).toString('base64');
          return {
            ...part,
            image_url: { url: `data:image/${type};base64,${data}`, detail: split ? 'high' : 'low' },
          };
        });
  return JSON.stringify({
    model: 'glimpse',
    messages: messages.map(({ role, content }) => ({ role, content: inline(content) })),
    max_tokens: answer.ids.length,
    temperature: 0,
    ...fields,
  });
}

describe.each(['wasm', 'webgpu', 'halves'] as const)('glimpse on %s gives the tokens of the reference', (way) => {
  let page: TestPage;
  // On every test of this form, so that the model is not loaded for nothing.
  const tags = { wasm: ['long-in-firefox'], webgpu: slowInChromium.tags, halves: ['long'] }[way];

  beforeAll(async () => {
    page = await openPage();
    const opened = await page.evaluate(async (on) => {
      const [exact, half] = glimpse.variants;
      const mixed = { ...glimpse, variants: [{ ...exact!, graphs: { ...exact!.graphs, embed: half!.graphs.embed } }] };
      const near = nearsight.createNearsight({
        model: on === 'halves' ? mixed : glimpse,
        device: on === 'wasm' ? on : 'webgpu',
      });
      const facts = await near.load();
      Object.assign(globalThis, { near });
      return facts.engine;
    }, way);
    expect(opened).toBe(engine);
  }, 240_000);

  afterAll(async () => {
    await page?.[Symbol.asyncDispose]();
  });

  // The page has loaded nothing else.
  test('with one build of ONNX Runtime, from its own origin', { tags }, async () => {
    const gpu = browserName === 'chromium' ? /\.jspi[\w-]*\.wasm$/ : /\.asyncify[\w-]*\.wasm$/;
    const expected = way === 'wasm' ? /^ort-wasm-simd-threaded[\w-]*\.wasm$/ : gpu;
    const builds = (): string[] => {
      const urls = page.requests.filter((url) => url.endsWith('.wasm'));
      const files = urls.map((url) => url.slice(url.lastIndexOf('/') + 1));
      // Firefox sometimes hangs when threads start: a second worker then fetches the same files again.
      return browserName === 'firefox' && way === 'wasm' ? [...new Set(files)] : files;
    };
    await expect.poll(builds).toEqual([expect.stringMatching(expected)]);
    expect(page.foreign).toEqual([]);
  });

  const answersAsGolden = async (golden: Case): Promise<void> => {
    const { status, body } = await page.evaluate(async (text) => {
      const { near } = globalThis as unknown as { near: import('nearsight').Nearsight };
      const url = 'https://integrate.api.nvidia.com/v1/chat/completions';
      const headers = { 'content-type': 'application/json' };
      const response = await near.fetch(url, { method: 'POST', headers, body: text });
      return { status: response.status, body: await response.json() };
    }, request(golden));
    expect({ status, error: body.error }).toEqual({ status: 200, error: undefined });
    // The reference trims both ends, and ends with a replacement character where the limit cuts a character.
    expect(body.choices[0].message.content.trim()).toBe(golden.answer.text.replace(/\ufffd+$/, ''));
    expect(body.usage).toMatchObject({
      prompt_tokens: golden.input_ids.length,
      completion_tokens: golden.answer.ids.length,
    });
    expect(page.foreign).toEqual([]);
  };

  test.each(chosen[way])('$name', { tags }, answersAsGolden);

  const rest = way === 'webgpu' ? cases.filter((golden) => !chosen.webgpu.includes(golden)) : [];
  test.each(rest)('$name', { tags: ['long'] }, answersAsGolden);
});
