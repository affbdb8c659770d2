// @module-tag long-in-firefox
/** Every context gives a verdict: docs/browsers.md has the table. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Page } from 'puppeteer-core';
import { ContextServer, refused, tryIn, works, type Place } from './harness/contexts.ts';
import type { FaultPlan } from './harness/fault-injection.ts';
import { browserName, newTab, nightlyInChromium } from './harness/harness.ts';
import { openTestPage } from './harness/test-page.ts';

let server: ContextServer;
let page: Page;

beforeAll(async () => {
  server = await ContextServer.start();
  page = await newTab();
});

afterAll(async () => {
  await page.close();
  await server[Symbol.asyncDispose]();
});

test.each<Place>(['page', 'dedicated worker', 'worker from a blob: URL', 'frame', 'cross-site frame'])(
  'in a %s it works',
  { tags: ['long'] },
  async (place) => {
    expect(await tryIn(place, page, server.origin, { assets: '/' })).toEqual(works);
  },
);

const inSharedWorker =
  browserName === 'firefox' ? works : refused(expect.stringContaining('(SharedWorkerGlobalScope)'));

test.each<[Place, object]>([
  ['SharedWorker', inSharedWorker],
  ['service worker', refused(expect.stringContaining('(ServiceWorkerGlobalScope) no Worker can be started'))],
  ['sandboxed frame', refused(expect.stringContaining('origin here is opaque'))],
])('in a %s', async (place, expected) => {
  const before = server.downloads.length;
  expect(await tryIn(place, page, server.origin)).toEqual(expected);
  if (expected !== works) expect(server.downloads.slice(before)).toEqual([]);
});

describe('under a content security policy', () => {
  const trusted = "require-trusted-types-for 'script'; trusted-types nearsight";
  const isolation = { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' };

  test.each<[string, Record<string, string>]>([
    ['Trusted Types, with assets', {}],
    ['Trusted Types, with assets and threads', isolation],
  ])('with %s it works', { tags: ['long'] }, async (_, headers) => {
    await using strict = await ContextServer.start({ 'content-security-policy': trusted, ...headers });
    expect(await tryIn('page', page, strict.origin, { assets: '/' })).toEqual(works);
  });

  test.each<[string, object, string, RegExp]>([
    ['Trusted Types, without assets', {}, trusted, /require-trusted-types-for.*Set assets/],
    [
      'Trusted Types of other policies',
      { assets: '/' },
      "require-trusted-types-for 'script'; trusted-types other",
      /trusted-types nearsight/,
    ],
    ['no workers', {}, "worker-src 'none'", /worker-src 'self'/],
    ['no WebAssembly', {}, "script-src 'self'", /wasm-unsafe-eval/],
  ])('with %s it is refused', async (_, options, policy, reason) => {
    await using strict = await ContextServer.start({ 'content-security-policy': policy });
    expect(await tryIn('page', page, strict.origin, options)).toEqual(refused(expect.stringMatching(reason)));
    expect(strict.downloads).toEqual([]);
  });
});

test('in an insecure page', async () => {
  const tab = await newTab();
  await tab.setRequestInterception(true);
  tab.on('request', (request) => {
    const { pathname } = new URL(request.url());
    void fetch(`${server.origin}${pathname}`)
      .then(async (response) =>
        request.respond({
          status: response.status,
          contentType: response.headers.get('content-type') ?? '',
          body: await response.text(),
        }),
      )
      // The tab may be closed by then.
      .catch(() => {});
  });
  const expected = refused(expect.stringContaining('not a secure context'));
  expect(await tryIn('page', tab, 'http://insecure.test')).toEqual(expected);
  await tab.close();
});

describe('in a browser', () => {
  /** In the worker: what probe(), load() and a request say, and the requests that came after. */
  async function tryFaults(plan: FaultPlan) {
    await using tab = await openTestPage({ plan, isolated: false });
    tab.requests.length = 0;
    const seen = await tab.evaluate(async () => {
      const near = nearsight.createNearsight({ model: glimpse });
      const { verdict, reason, device } = await near.probe();
      const load = await testPage.rejectionOf(near.load());
      const answer = load ? await testPage.errorOf(await testPage.ask(near)) : await testPage.works(near);
      near.dispose();
      return { verdict, reason, device, load, answer };
    });
    return { ...seen, downloads: tab.requests.filter((url) => /ort|glimpse|model/.test(new URL(url).pathname)) };
  }

  test.each([
    [['WebAssembly'], /no WebAssembly.*no JIT/],
    [['OffscreenCanvas'], /no OffscreenCanvas/],
  ])('without %s nothing is downloaded', async (without, reason) => {
    const refusal = { name: 'NearsightError', code: 'unsupported_device' };
    expect(await tryFaults({ without })).toEqual({
      verdict: 'no',
      reason: expect.stringMatching(reason),
      load: refusal,
      answer: { status: 503, code: refusal.code },
      downloads: [],
    });
  });

  const onWasm = {
    verdict: 'yes',
    device: 'wasm',
    reason: expect.stringContaining('no WebGPU adapter'),
    load: null,
    answer: true,
  };

  test.each(['rejects', 'has no info'] as const)(
    'whose adapter %s, wasm answers',
    { tags: ['long'] },
    async (adapter) => {
      expect(await tryFaults({ adapter })).toMatchObject(onWasm);
    },
  );

  // It is waited for twice, ten seconds each.
  test('whose adapter never answers, wasm answers', nightlyInChromium, async () => {
    expect(await tryFaults({ adapter: 'never answers' })).toMatchObject(onWasm);
  });
});
