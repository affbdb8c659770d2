import { expect, test } from 'vitest';
import { openPage } from './harness/harness.ts';

test('an error in the page is thrown with its message and the log of the page', async () => {
  await using page = await openPage();
  await expect(
    page.evaluate(() => {
      console.warn('a hint');
      throw new TypeError('thrown in the page');
    }),
  ).rejects.toThrow(/thrown in the page[^]*a hint/);
});

test('the recorded requests include those of workers, and `foreign` has those to other origins', async () => {
  const headers = { 'content-type': 'text/javascript' };
  const open = { 'access-control-allow-origin': '*' };
  await using other = await openPage({
    answer: ({ url }) => (url.endsWith('/elsewhere') ? new Response('', { headers: open }) : undefined),
  });
  await using page = await openPage({
    policy: null,
    isolated: false,
    answer: ({ url }) =>
      url.endsWith('/asking.js')
        ? new Response(
            'onmessage = async ({ data }) => { for (const url of data) await fetch(url); postMessage("done"); }',
            { headers },
          )
        : undefined,
  });
  const foreign = `${other.origin}/elsewhere`;
  await page.evaluate(
    (urls) =>
      new Promise((resolve, reject) => {
        const worker = new Worker('/asking.js', { type: 'module' });
        worker.onmessage = resolve;
        worker.onerror = ({ message }) => reject(new Error(message));
        worker.postMessage(urls);
      }),
    ['/here', 'data:,x', foreign],
  );
  await expect.poll(() => page.requests).toContain(`${page.origin}/here`);
  await expect.poll(() => page.foreign).toEqual([foreign]);
});
