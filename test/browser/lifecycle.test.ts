// @module-tag long-in-chromium
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { browserName, type TestPage } from './harness/harness.ts';
import { openTestPage } from './harness/test-page.ts';

let page: TestPage;

/** Simulates a server with one wrong response: the first has other bytes, later ones redirect to the file. */
let flakyAnswers = 0;
function flaky(request: Request): Response | undefined {
  const file = new URL(request.url).searchParams.get('flaky');
  if (!file) return undefined;
  return flakyAnswers++ ? Response.redirect(file) : new Response('{}');
}

beforeAll(async () => {
  // Not isolated in Firefox, which sometimes hangs when threads start: the second worker would then be counted.
  page = await openTestPage({ isolated: browserName === 'chromium', answer: flaky });
});

afterAll(async () => {
  await page?.[Symbol.asyncDispose]();
});

describe('a worker that dies', () => {
  test('mid-stream: the stream errors with a code, and the next request works in a new worker', async () => {
    const result = await page.evaluate(async () => {
      const near = testPage.make('wasm');
      await near.load();
      const before = faults.workers.length;
      const response = await testPage.ask(near, testPage.long);
      const reader = response.body!.getReader();
      await reader.read();
      faults.workers.at(-1)!.terminate();
      let text = '';
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        text += new TextDecoder().decode(value);
      }
      const works = await testPage.works(near);
      const started = faults.workers.length - before;
      near.dispose();
      return { text, works, started };
    });
    expect(result.text).toContain('"code":"worker_crashed"');
    expect(result.text).not.toContain('"finish_reason":"stop"');
    expect(result).toMatchObject({ works: true, started: 1 });
  });

  test('where locks are denied, requests are answered', async () => {
    const result = await page.evaluate(async () => {
      const { request } = LockManager.prototype;
      LockManager.prototype.request = () => Promise.reject(new DOMException('denied', 'SecurityError'));
      faults.plan.deniedLocks = true;
      const near = testPage.make('wasm');
      const works = await testPage.works(near);
      const { verdict } = await near.probe();
      near.dispose();
      faults.plan.deniedLocks = false;
      LockManager.prototype.request = request;
      return { works, verdict };
    });
    expect(result).toEqual({ works: true, verdict: 'yes' });
  });

  test('mid-load and mid-prefill: the request is answered 500, and the next one works', async () => {
    const result = await page.evaluate(async () => {
      const near = testPage.make('wasm');
      // The worker's death is noticed even if it takes its lock late.
      faults.plan.lateLock = true;
      const loading = testPage.ask(near);
      await new Promise<void>((resolve) => {
        near.status.subscribe(({ state }) => state === 'downloading' && resolve());
      });
      faults.workers.at(-1)!.terminate();
      faults.plan.lateLock = false;
      const midLoad = await testPage.errorOf(await loading);
      const state = near.status.value.state;
      await near.load();
      await faults.command('hold');
      const decoding = faults.decoding();
      const prefilling = testPage.ask(near, testPage.fresh());
      await decoding;
      faults.workers.at(-1)!.terminate();
      const midPrefill = await testPage.errorOf(await prefilling);
      const works = await testPage.works(near);
      near.dispose();
      return { midLoad, state, midPrefill, works };
    });
    expect(result).toEqual({
      midLoad: { status: 500, code: 'worker_crashed' },
      state: 'failed',
      midPrefill: { status: 500, code: 'worker_crashed' },
      works: true,
    });
  });
});

describe('abort', () => {
  test('before, while loading, queued, in prefill, between tokens: rejects with its reason, and the next request works', async () => {
    const result = await page.evaluate(async () => {
      const near = testPage.make('wasm');
      const codes: Record<string, unknown> = {};
      const aborting = async (name: string, when: (abort: () => void) => unknown, extra = {}): Promise<void> => {
        const caller = new AbortController();
        const reason = new DOMException(name, 'AbortError');
        const outcome = testPage.ask(near, extra, { signal: caller.signal }).then(
          () => 'answered',
          (error) => (error === reason ? 'own reason' : String(error)),
        );
        await when(() => caller.abort(reason));
        codes[name] = await outcome;
      };
      codes['before'] = await testPage.rejectionOf(testPage.ask(near, {}, { signal: AbortSignal.abort() }));
      await aborting(
        'while loading',
        (abort) =>
          new Promise<void>((resolve) => {
            near.status.subscribe(({ state }) => {
              if (state !== 'downloading') return;
              abort();
              resolve();
            });
          }),
      );
      const idle = near.status.value.state;
      await near.load();
      await faults.command('hold');
      let decoding = faults.decoding();
      const other = testPage.ask(near, testPage.fresh()).then((response) => response.status);
      await decoding;
      await aborting('queued', async (abort) => {
        while ((await near.debugStats()).waiting < 1);
        abort();
      });
      await faults.command('release');
      const first = await other;
      await faults.command('hold');
      decoding = faults.decoding();
      await aborting('in prefill', (abort) => decoding.then(abort), testPage.fresh());
      await faults.command('release');
      const caller = new AbortController();
      const response = await testPage.ask(near, testPage.long, { signal: caller.signal });
      const reader = response.body!.getReader();
      await reader.read();
      const reason = new DOMException('between tokens', 'AbortError');
      caller.abort(reason);
      codes['between tokens'] = await (async () => {
        for (;;) if ((await reader.read()).done) return 'ended';
      })().catch((error) => (error === reason ? 'own reason' : String(error)));
      const works = await testPage.works(near);
      const { waiting } = await near.debugStats();
      near.dispose();
      return { codes, idle, first, works, waiting };
    });
    expect(result.codes).toEqual({
      before: { name: 'AbortError', code: 20 },
      'while loading': 'own reason',
      queued: 'own reason',
      'in prefill': 'own reason',
      'between tokens': 'own reason',
    });
    expect(result).toMatchObject({ idle: 'idle', first: 200, works: true, waiting: 0 });
  });

  test('body.cancel() and break stop decoding', async () => {
    const result = await page.evaluate(async () => {
      const near = testPage.make('wasm');
      await near.load();
      const response = await testPage.ask(near, testPage.long);
      await response.body!.cancel();
      for await (const text of near.ask(testPage.image, 'Describe the picture.')) {
        if (text) break;
      }
      const works = await testPage.works(near);
      const { waiting, ports } = await near.debugStats();
      near.dispose();
      return { works, waiting, ports };
    });
    expect(result).toEqual({ works: true, waiting: 0, ports: 1 });
  });

  test('cancelling one clone of a response leaves the other; cancelling both stops decoding', async () => {
    const result = await page.evaluate(async () => {
      const near = testPage.make('wasm');
      await near.load();
      const response = await testPage.ask(near, testPage.long);
      const copy = response.clone();
      // Settles only when the other is cancelled as well.
      const cancelled = copy.body!.cancel();
      const reader = response.body!.getReader();
      let chunks = 0;
      while (chunks < 20 && !(await reader.read()).done) chunks++;
      await reader.cancel();
      await cancelled;
      const works = await testPage.works(near);
      const { waiting, ports } = await near.debugStats();
      near.dispose();
      return { chunks, works, waiting, ports };
    });
    expect(result).toEqual({ chunks: 20, works: true, waiting: 0, ports: 1 });
  });
});

describe('many requests at once', () => {
  test('they are answered in order; above limits.waiting they are refused with 429', async () => {
    const result = await page.evaluate(async () => {
      const near = testPage.make('wasm');
      await near.load();
      const order: number[] = [];
      const statuses: number[] = [];
      await faults.command('hold');
      let decoding = faults.decoding();
      const requests = Array.from({ length: 20 }, async (_, i) => {
        const response = await testPage.ask(near, { ...testPage.fresh(), max_tokens: 1 });
        statuses.push(response.status);
        if (response.status === 200) order.push(i);
        return response;
      });
      // The first is held in its prefill until the last ones are refused.
      while (statuses.length < 3) await near.debugStats();
      // One after the other, because messages of different ports have no order.
      for (let answered = 1; answered <= 17; answered++) {
        await decoding;
        decoding = faults.decoding();
        await faults.command('releaseOne');
        while (order.length < answered) await near.debugStats();
      }
      await faults.command('release');
      const responses = await Promise.all(requests);
      const refused = responses.filter(({ status }) => status === 429);
      const works = await testPage.works(near);
      near.dispose();
      return { order, refused: refused.length, retry: refused[0]?.headers.get('retry-after-ms'), works };
    });
    // One is running, sixteen are waiting.
    expect(result.order).toEqual(Array.from({ length: 17 }, (_, i) => i));
    expect(result).toMatchObject({ refused: 3, works: true });
    expect(Number(result.retry)).toBeGreaterThan(0);
  });

  test('share one load', async () => {
    const result = await page.evaluate(async () => {
      const near = testPage.make('wasm');
      const before = faults.workers.length;
      const answers = await Promise.all([testPage.ask(near), testPage.ask(near), near.load()]);
      const workers = faults.workers.length - before;
      near.dispose();
      return { statuses: answers.slice(0, 2).map((answer) => (answer as Response).status), workers };
    });
    expect(result).toEqual({ statuses: [200, 200], workers: 1 });
  });
});

describe('loading', () => {
  test('after a failed load, the next request loads again', async () => {
    const result = await page.evaluate(async () => {
      const [first, ...others] = glimpse.files;
      const url = `/?flaky=${encodeURIComponent(String(first!.url))}`;
      const spec = { ...glimpse, files: [{ ...first!, url }, ...others] };
      const near = nearsight.createNearsight({ model: spec, device: 'wasm' });
      const failed = await testPage.errorOf(await testPage.ask(near));
      const works = await testPage.works(near);
      near.dispose();
      return { failed, works };
    });
    expect(result).toEqual({ failed: { status: 503, code: 'integrity' }, works: true });
  });

  test('creating starts no worker; dispose ends an answer with its code, and later calls reject with it', async () => {
    const result = await page.evaluate(async () => {
      const before = faults.workers.length;
      const near = testPage.make('wasm');
      const started = faults.workers.length - before;
      await near.load();
      const response = await testPage.ask(near, testPage.long);
      near.dispose();
      const text = await response.text();
      const after = await testPage.errorOf(await testPage.ask(near));
      const load = await testPage.rejectionOf(near.load());
      return { started, text, after, load };
    });
    expect(result.started).toBe(0);
    expect(result.text).toContain('"code":"disposed"');
    expect(result.after).toEqual({ status: 503, code: 'disposed' });
    expect(result.load).toEqual({ name: 'NearsightError', code: 'disposed' });
  });
});
