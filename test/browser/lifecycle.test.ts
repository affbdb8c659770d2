import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { browserName, type TestPage } from './harness/harness.ts';
import { openLab } from './harness/test-page.ts';

let page: TestPage;

/** Stands in for a server that is wrong once: the first answer has other bytes, later ones lead to the file. */
let flakyAnswers = 0;
function flaky(request: Request): Response | undefined {
  const file = new URL(request.url).searchParams.get('flaky');
  if (!file) return undefined;
  return flakyAnswers++ ? Response.redirect(file) : new Response('{}');
}

beforeAll(async () => {
  // Firefox hangs now and then when threads start, and the second worker that it gets then would be counted.
  page = await openLab({ isolated: browserName === 'chromium', answer: flaky });
});

afterAll(async () => {
  await page?.[Symbol.asyncDispose]();
});

describe('a worker that dies', () => {
  test('mid-stream: the stream errors with a code, and the next request works in a new worker', async () => {
    const result = await page.evaluate(async () => {
      const near = lab.make('wasm');
      await near.load();
      const before = sabotage.workers.length;
      const response = await lab.ask(near, lab.long);
      const reader = response.body!.getReader();
      await reader.read();
      sabotage.workers.at(-1)!.terminate();
      let text = '';
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        text += new TextDecoder().decode(value);
      }
      const works = await lab.works(near);
      const started = sabotage.workers.length - before;
      near.dispose();
      return { text, works, started };
    });
    expect(result.text).toContain('"code":"worker_crashed"');
    expect(result.text).not.toContain('"finish_reason":"stop"');
    expect(result).toMatchObject({ works: true, started: 1 });
  });

  test('mid-load and mid-prefill: the request is answered 500, and the next one works', async () => {
    const result = await page.evaluate(async () => {
      const near = lab.make('wasm');
      // However late the worker takes its lock, its death is heard of.
      sabotage.plan.late = true;
      const loading = lab.ask(near);
      await new Promise<void>((resolve) => {
        near.status.subscribe(({ state }) => state === 'downloading' && resolve());
      });
      sabotage.workers.at(-1)!.terminate();
      sabotage.plan.late = false;
      const midLoad = await lab.errorOf(await loading);
      const state = near.status.value.state;
      await near.load();
      await sabotage.order('hold');
      const decoding = sabotage.decoding();
      const prefilling = lab.ask(near, lab.fresh());
      await decoding;
      sabotage.workers.at(-1)!.terminate();
      const midPrefill = await lab.errorOf(await prefilling);
      const works = await lab.works(near);
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
  test('before, while loading, queued, in prefill, between tokens: the reason comes back, the next request is right', async () => {
    const result = await page.evaluate(async () => {
      const near = lab.make('wasm');
      const codes: Record<string, unknown> = {};
      const aborting = async (name: string, when: (abort: () => void) => unknown, extra = {}): Promise<void> => {
        const caller = new AbortController();
        const reason = new DOMException(name, 'AbortError');
        const outcome = lab.ask(near, extra, { signal: caller.signal }).then(
          () => 'answered',
          (error) => (error === reason ? 'own reason' : String(error)),
        );
        await when(() => caller.abort(reason));
        codes[name] = await outcome;
      };
      codes['before'] = await lab.fault(lab.ask(near, {}, { signal: AbortSignal.abort() }));
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
      await sabotage.order('hold');
      let decoding = sabotage.decoding();
      const other = lab.ask(near, lab.fresh()).then((response) => response.status);
      await decoding;
      await aborting('queued', async (abort) => {
        while ((await near.debugStats()).waiting < 1);
        abort();
      });
      await sabotage.order('release');
      const first = await other;
      await sabotage.order('hold');
      decoding = sabotage.decoding();
      await aborting('in prefill', (abort) => decoding.then(abort), lab.fresh());
      await sabotage.order('release');
      const caller = new AbortController();
      const response = await lab.ask(near, lab.long, { signal: caller.signal });
      const reader = response.body!.getReader();
      await reader.read();
      const reason = new DOMException('between tokens', 'AbortError');
      caller.abort(reason);
      codes['between tokens'] = await (async () => {
        for (;;) if ((await reader.read()).done) return 'ended';
      })().catch((error) => (error === reason ? 'own reason' : String(error)));
      const works = await lab.works(near);
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

  test('body.cancel() and break stop the decode', async () => {
    const result = await page.evaluate(async () => {
      const near = lab.make('wasm');
      await near.load();
      const response = await lab.ask(near, lab.long);
      await response.body!.cancel();
      for await (const text of near.ask(lab.image, 'Describe the picture.')) {
        if (text) break;
      }
      const works = await lab.works(near);
      const { waiting, ports } = await near.debugStats();
      near.dispose();
      return { works, waiting, ports };
    });
    expect(result).toEqual({ works: true, waiting: 0, ports: 1 });
  });

  test('of two clones, one that is cancelled leaves the other its answer; both together stop the decode', async () => {
    const result = await page.evaluate(async () => {
      const near = lab.make('wasm');
      await near.load();
      const response = await lab.ask(near, lab.long);
      const copy = response.clone();
      // Settles only with the other.
      const cancelled = copy.body!.cancel();
      const reader = response.body!.getReader();
      let chunks = 0;
      while (chunks < 20 && !(await reader.read()).done) chunks++;
      await reader.cancel();
      await cancelled;
      const works = await lab.works(near);
      const { waiting, ports } = await near.debugStats();
      near.dispose();
      return { chunks, works, waiting, ports };
    });
    expect(result).toEqual({ chunks: 20, works: true, waiting: 0, ports: 1 });
  });
});

describe('many requests at once', () => {
  test('two and twenty are answered in order; past the bound they are refused with 429', async () => {
    const result = await page.evaluate(async () => {
      const near = lab.make('wasm');
      await near.load();
      const order: number[] = [];
      const statuses: number[] = [];
      await sabotage.order('hold');
      const asked = Array.from({ length: 20 }, async (_, i) => {
        // Long enough for their ends to be told apart, because nothing orders the messages of different ports.
        const response = await lab.ask(near, { ...lab.long, n: 1, stream: false, max_tokens: 40 });
        statuses.push(response.status);
        if (response.status === 200) order.push(i);
        await response.text();
        return response;
      });
      // The first is kept in its prefill until the last have been refused.
      while (statuses.length < 3) await near.debugStats();
      await sabotage.order('release');
      const responses = await Promise.all(asked);
      const refused = responses.filter(({ status }) => status === 429);
      const works = await lab.works(near);
      near.dispose();
      return { order, refused: refused.length, retry: refused[0]?.headers.get('retry-after-ms'), works };
    });
    // One runs, sixteen wait.
    expect(result.order).toEqual(Array.from({ length: 17 }, (_, i) => i));
    expect(result).toMatchObject({ refused: 3, works: true });
    expect(Number(result.retry)).toBeGreaterThan(0);
  });

  test('share one load', async () => {
    const result = await page.evaluate(async () => {
      const near = lab.make('wasm');
      const before = sabotage.workers.length;
      const answers = await Promise.all([lab.ask(near), lab.ask(near), near.load()]);
      const workers = sabotage.workers.length - before;
      near.dispose();
      return { statuses: answers.slice(0, 2).map((answer) => (answer as Response).status), workers };
    });
    expect(result).toEqual({ statuses: [200, 200], workers: 1 });
  });
});

describe('loading', () => {
  test('a failed load is not remembered', async () => {
    const result = await page.evaluate(async () => {
      const [first, ...others] = glimpse.files;
      const url = `/?flaky=${encodeURIComponent(String(first!.url))}`;
      const spec = { ...glimpse, files: [{ ...first!, url }, ...others] };
      const near = nearsight.createNearsight({ model: spec, device: 'wasm' });
      const failed = await lab.errorOf(await lab.ask(near));
      const works = await lab.works(near);
      near.dispose();
      return { failed, works };
    });
    expect(result).toEqual({ failed: { status: 503, code: 'integrity' }, works: true });
  });

  test('creating starts nothing; dispose while generating rejects with its code, and so does all after it', async () => {
    const result = await page.evaluate(async () => {
      const before = sabotage.workers.length;
      const near = lab.make('wasm');
      const started = sabotage.workers.length - before;
      await near.load();
      const response = await lab.ask(near, lab.long);
      near.dispose();
      const text = await response.text();
      const after = await lab.errorOf(await lab.ask(near));
      const load = await lab.fault(near.load());
      return { started, text, after, load };
    });
    expect(result.started).toBe(0);
    expect(result.text).toContain('"code":"disposed"');
    expect(result.after).toEqual({ status: 503, code: 'disposed' });
    expect(result.load).toEqual({ name: 'NearsightError', code: 'disposed' });
  });
});
