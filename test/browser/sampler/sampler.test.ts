import { build } from 'vite';
import { expect, test } from 'vitest';
import { openPage } from '../harness/harness.ts';

test('the GPU draws what the CPU draws', { timeout: 240_000 }, async () => {
  const entry = new URL('worker.ts', import.meta.url).pathname;
  const built = await build({
    configFile: false,
    logLevel: 'warn',
    build: { write: false, minify: false, target: 'es2023', lib: { entry, formats: ['es'], fileName: 'sampler' } },
  });
  const [output] = [built].flat();
  const code = output && 'output' in output ? output.output[0].code : '';
  const headers = { 'content-type': 'text/javascript', 'cross-origin-embedder-policy': 'require-corp' };
  await using page = await openPage({
    answer: ({ url }) => (url.endsWith('/sampler.js') ? new Response(code, { headers }) : undefined),
  });
  const wrong = await page.evaluate(
    () =>
      new Promise<string[]>((resolve, reject) => {
        const worker = new Worker('/sampler.js', { type: 'module' });
        worker.onmessage = ({ data }) => resolve(data.wrong);
        worker.onerror = ({ message }) => reject(new Error(message));
      }),
  );
  expect(wrong).toEqual([]);
});
