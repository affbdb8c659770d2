// @module-tag long-in-chromium
/** How applications load, watch and end a model: with frameworks, and in any order. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Nearsight } from 'nearsight';
import { openPage, type TestPage } from './harness/harness.ts';
import { installRemotePage } from './harness/remote-page.ts';

let page: TestPage;

beforeAll(async () => {
  // With one thread: several loads are under way at once, and answers are short.
  page = await openPage({ isolated: false });
  await page.evaluate(installRemotePage);
});

afterAll(() => page[Symbol.asyncDispose]());

test("React's strict mode loads, unloads and loads; useSyncExternalStore shows the state", async () => {
  const seen = await page.evaluate(async () => {
    const { mountInReact } = await loadFrameworks();
    const near = remotePage.make();
    const app = mountInReact(near);
    while (app.shown.at(-1) !== 'ready') await new Promise((resolve) => setTimeout(resolve, 5));
    app.unmount();
    const last = near.status.value.state;
    near.dispose();
    return { loads: app.loads, shown: app.shown, last };
  });
  expect(seen).toMatchObject({ loads: ['aborted', 'loaded'], last: 'idle' });
  expect([seen.shown[0], seen.shown.at(-1)]).toEqual(['idle', 'ready']);
});

test('in a proxy, by Vue or one that wraps methods too, every call works', async () => {
  const seen = await page.evaluate(async () => {
    const { isProxy, reactive, wrapped } = await loadFrameworks();
    const bare = remotePage.make({ model: reactive({ ...glimpse }) });
    const broken = remotePage.make({ broken: true });
    const all = [];
    for (const wrap of [reactive<Nearsight>, wrapped<Nearsight>]) {
      const near: Nearsight = wrap(bare);
      const states = new Set<string>();
      const stop = near.status.subscribe(({ state }) => states.add(state));
      const { verdict } = await near.probe();
      const { model } = await near.load({ onProgress: ({ state }) => states.add(state) });
      const { status } = await near.fetch(remotePage.url, remotePage.post({ max_tokens: 1 }));
      let said = '';
      for await (const text of near.ask(remotePage.image, 'What is this?', { maxTokens: 4 })) said += text;
      await near.forget();
      const { loaded } = await near.debugStats();
      stop();
      const failing: Nearsight = wrap(broken);
      await failing.load().catch(() => {});
      const { value } = failing.status;
      const error = value.state === 'failed' ? wrapped(value.error) : undefined;
      const fault = [error?.name, error?.code, error?.status, error?.message];
      all.push({ verdict, model, status, said, loaded, state: near.status.value.state, fault });
    }
    const near = reactive(bare);
    await near.unload();
    const last = near.status.value.state;
    near.dispose();
    reactive(broken).dispose();
    return { all, last, proxied: isProxy(near.status), end: bare.status.value.state };
  });
  const answers = { verdict: 'yes', model: 'glimpse', status: 200, loaded: 'glimpse', state: 'ready' };
  const fault = ['NearsightError', 'load_failed', 503, expect.any(String)];
  const each = { ...answers, said: expect.stringMatching(/\S/), fault };
  expect(seen).toMatchObject({ all: [each, each], last: 'idle', proxied: true, end: 'disposed' });
});

test('an unreadable image is refused at once and the load goes on; errors of listeners are reported and end nothing', async () => {
  const seen = await page.evaluate(async () => {
    const near = remotePage.make();
    const seen = new Set<string>();
    near.status.subscribe(({ state }) => {
      if (seen.size < seen.add(state).size) throw new Error(`a mistake at ${state}`);
    });
    const ready = new Promise<void>((resolve) => {
      near.status.subscribe(({ state }) => state === 'ready' && resolve());
    });
    const caller = new AbortController();
    const content = ['What?', { image_url: 'data:image/png;base64,' }];
    const post = { ...remotePage.post({ messages: [{ role: 'user', content }] }), signal: caller.signal };
    const { status } = await near.fetch(remotePage.url, post);
    const { state } = near.status.value;
    caller.abort();
    await ready;
    const answered = await remotePage.readResponse(
      await near.fetch(remotePage.url, remotePage.post({ stream: true, max_tokens: 4 })),
    );
    near.dispose();
    return { status, state, text: answered.text };
  });
  expect(seen).toMatchObject({ status: 400, state: expect.stringMatching(/idle|downloading|preparing/) });
  expect(seen.text).toMatch(/data: \[DONE\]\n\n$/);
  expect(seen.text).not.toContain('"error"');
  await expect.poll(() => page.log.join('\n')).toContain('a mistake at ready');
});
