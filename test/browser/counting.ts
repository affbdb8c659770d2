/** What tests of the counters share: a page whose worker is counted, and answers of an exact length. */
import type { Counts } from '../../tools/counters.mjs';
import { installCounters, serveCounters } from '../../tools/counters.mjs';
import { openPage, type PageOptions, type TestPage } from './harness/harness.ts';

declare global {
  // oxlint-disable-next-line no-var -- only `var` declares a global
  var counters: import('../../tools/counters.mjs').Counters;
  // oxlint-disable-next-line no-var -- only `var` declares a global
  var near: import('nearsight').Nearsight;
}

/** Long enough for a busy machine to come to its next step, were it not waiting. */
const HOLD_MS = 500;

export type Counted = Pick<Counts, 'waits' | 'maps' | 'readBytes' | 'dispatches' | 'submits'>;

/** A page that counts, in which nothing runs yet. */
export async function openCounted(answer?: PageOptions['answer']): Promise<TestPage> {
  const page = await openPage({ answer: (request) => serveCounters(request) ?? answer?.(request) });
  await page.evaluate(installCounters);
  return page;
}

/**
 * Asks for exactly so many tokens.
 *
 * @param endToken ruled out, so that the answer goes on
 */
export function answer(
  page: TestPage,
  endToken: number,
  tokens: number,
): Promise<Counted & { looks: { submits: number; peakBytes: number }[] }> {
  return page.evaluate(
    async (endToken, tokens) => {
      const worker = counters.newest();
      const looks = [await worker.take()];
      const response = await near.fetch('https://integrate.api.nvidia.com/v1/chat/completions', {
        method: 'POST',
        body: JSON.stringify({
          model: (await near.debugStats()).loaded,
          messages: [{ role: 'user', content: 'Tell me a long story about a dog.' }],
          max_tokens: tokens,
          logit_bias: { [endToken]: -100 },
          stream: true,
          stream_options: { include_usage: true },
        }),
      });
      const timer = setInterval(() => void worker.take().then((told) => looks.push(told)), 100);
      const text = await response.text();
      clearInterval(timer);
      if (!text.includes(`"completion_tokens":${tokens}`)) throw new Error(text);
      const [before, after] = [looks[0]!, await worker.take()];
      return {
        waits: after.waits - before.waits,
        maps: after.maps - before.maps,
        readBytes: after.readBytes - before.readBytes,
        dispatches: after.dispatches - before.dispatches,
        submits: after.submits - before.submits,
        looks: [...looks, after].map(({ submits, peakBytes }) => ({ submits, peakBytes })),
      };
    },
    endToken,
    tokens,
  );
}

/** What one more token takes: the difference of two answers to the same question, in which beginning and end cancel. */
export async function perToken(page: TestPage, endToken: number, short: number, long: number): Promise<Counted> {
  // Both find the same prompt in the cache, and room enough.
  await answer(page, endToken, long);
  await page.evaluate((ms) => counters.newest().hold(ms), HOLD_MS);
  const more = await answer(page, endToken, long);
  const less = await answer(page, endToken, short);
  await page.evaluate(() => counters.newest().hold(0));
  const each = (name: keyof Counted): number => (more[name] - less[name]) / (long - short);
  return {
    waits: each('waits'),
    maps: each('maps'),
    readBytes: each('readBytes'),
    dispatches: each('dispatches'),
    submits: each('submits'),
  };
}

/** By how many bytes the GPU buffers' high-water mark rose after `settled` of an answer's tokens. */
export async function growth(page: TestPage, endToken: number, tokens: number, settled: number): Promise<number> {
  const { looks } = await answer(page, endToken, tokens);
  // Every token submits as often as the next, so submissions tell how far it had come.
  const [from, to] = [looks[0]?.submits ?? 0, looks.at(-1)?.submits ?? 0];
  const edge = from + ((to - from) * settled) / tokens;
  const early = looks.filter(({ submits }) => submits <= edge).map(({ peakBytes }) => peakBytes);
  const late = looks.filter(({ submits }) => submits > edge).map(({ peakBytes }) => peakBytes);
  if (early.length < 2 || late.length < 2) throw new Error('It was over before it was looked at.');
  return Math.max(0, Math.max(...late) - Math.max(...early));
}
