/** Shared by the tests of counters: a page whose workers are counted, and answers of an exact length. */
import type { Counts } from '../../tools/counters.mjs';
import { installCounters, serveCounters } from '../../tools/counters.mjs';
import { openPage, type PageOptions, type TestPage } from './harness/harness.ts';

declare global {
  // oxlint-disable-next-line no-var -- only `var` declares a global
  var counters: import('../../tools/counters.mjs').Counters;
  // oxlint-disable-next-line no-var -- only `var` declares a global
  var near: import('nearsight').Nearsight;
}

/** Long enough for the next step on a busy machine, unless the loop waits. */
const HOLD_MS = 500;

export type TokenCounts = Pick<Counts, 'waits' | 'maps' | 'readBytes' | 'dispatches' | 'submits'>;

/** A page that counts its workers' calls. No worker runs yet. */
export async function openCounted(answer?: PageOptions['answer']): Promise<TestPage> {
  const page = await openPage({ answer: (request) => serveCounters(request) ?? answer?.(request) });
  await page.evaluate(installCounters);
  return page;
}

/**
 * Asks for an answer of exactly `tokens` tokens.
 *
 * @param endToken is ruled out, so that the answer does not end earlier
 */
export function answer(
  page: TestPage,
  endToken: number,
  tokens: number,
): Promise<TokenCounts & { samples: { submits: number; peakBytes: number }[] }> {
  return page.evaluate(
    async (endToken, tokens) => {
      const worker = counters.newest();
      const samples = [await worker.take()];
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
      const timer = setInterval(() => void worker.take().then((counts) => samples.push(counts)), 25);
      const text = await response.text();
      clearInterval(timer);
      if (!text.includes(`"completion_tokens":${tokens}`)) throw new Error(text);
      const [before, after] = [samples[0]!, await worker.take()];
      return {
        waits: after.waits - before.waits,
        maps: after.maps - before.maps,
        readBytes: after.readBytes - before.readBytes,
        dispatches: after.dispatches - before.dispatches,
        submits: after.submits - before.submits,
        samples: [...samples, after].map(({ submits, peakBytes }) => ({ submits, peakBytes })),
      };
    },
    endToken,
    tokens,
  );
}

/** The counts per token: the difference of two answers to the same question, in which start and end cancel out. */
export async function perToken(page: TestPage, endToken: number, short: number, long: number): Promise<TokenCounts> {
  // Afterwards both have the same prompt in the prefix cache, and no need for a larger KV cache.
  await answer(page, endToken, long);
  await page.evaluate((ms) => counters.newest().hold(ms), HOLD_MS);
  const more = await answer(page, endToken, long);
  const less = await answer(page, endToken, short);
  await page.evaluate(() => counters.newest().hold(0));
  const rate = (name: keyof TokenCounts): number => (more[name] - less[name]) / (long - short);
  return {
    waits: rate('waits'),
    maps: rate('maps'),
    readBytes: rate('readBytes'),
    dispatches: rate('dispatches'),
    submits: rate('submits'),
  };
}

/** By how many bytes the peak of GPU memory rose after the first `settled` tokens of an answer. */
export async function growth(page: TestPage, endToken: number, tokens: number, settled: number): Promise<number> {
  const { samples } = await answer(page, endToken, tokens);
  // Every token has the same number of submissions, so they show the progress of the answer.
  const [from, to] = [samples[0]?.submits ?? 0, samples.at(-1)?.submits ?? 0];
  const edge = from + ((to - from) * settled) / tokens;
  const early = samples.filter(({ submits }) => submits <= edge).map(({ peakBytes }) => peakBytes);
  const late = samples.filter(({ submits }) => submits > edge).map(({ peakBytes }) => peakBytes);
  if (early.length < 2 || late.length < 2) throw new Error('The answer ended before there were enough samples.');
  return Math.max(0, Math.max(...late) - Math.max(...early));
}
