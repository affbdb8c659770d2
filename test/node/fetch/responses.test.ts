/** Responses of intercepted requests are like those of the native fetch. */
import { afterEach, expect, it, vi } from 'vitest';
import { BODY, CHAT, JSON_BODY, makeFetch, NIM, post } from './make-fetch.ts';

afterEach(() => vi.unstubAllGlobals());

const streaming = JSON.stringify({ ...BODY, stream: true });

it.each([
  ['JSON', CHAT, JSON_BODY],
  ['a stream', CHAT, streaming],
  ['an error', `${NIM}/v1/nothing`, JSON_BODY],
])('%s: url, type and redirected, also of clones', async (_kind, url, body) => {
  const response = await makeFetch().fetch(url, post(body));
  const clone = response.clone();
  const ofClone = clone.clone();
  for (const one of [response, clone, ofClone]) {
    expect(one).toBeInstanceOf(Response);
    expect(one).toMatchObject({ url, type: 'cors', redirected: false, bodyUsed: false });
  }
  expect(await clone.text()).toBe(await response.text());
  expect([response.bodyUsed, clone.bodyUsed, ofClone.bodyUsed]).toEqual([true, true, false]);
});

it("those of the page's own origin are basic", async () => {
  vi.stubGlobal('location', { href: `${NIM}/app`, origin: NIM });
  expect(await makeFetch().fetch(CHAT, post())).toHaveProperty('type', 'basic');
});

it.each([
  ['JSON', JSON_BODY],
  ['a stream', streaming],
])('%s can be read by a BYOB reader', async (_kind, body) => {
  const { fetch } = makeFetch();
  const reader = (await fetch(CHAT, post(body))).body?.getReader({ mode: 'byob' });
  const decoder = new TextDecoder();
  let text = '';
  for (;;) {
    const { done, value } = (await reader?.read(new Uint8Array(7))) ?? { done: true };
    text += decoder.decode(value, { stream: !done });
    if (done) break;
  }
  await reader?.closed;
  const whole = await (await fetch(CHAT, post(body))).text();
  const changing = /"(id|created)":("[^"]*"|\d+)/g;
  expect(text.replaceAll(changing, '')).toBe(whole.replaceAll(changing, ''));
});
