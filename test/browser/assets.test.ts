// @module-tag long-in-firefox
/** Places where the package's files are not: each is one error, with the address and both ways to provide them. */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import type { AssetOptions } from 'nearsight';
import { expect, test } from 'vitest';
import { openPage } from './harness/harness.ts';

/** As servers of single-page applications do for every path. */
const application = (): Response => new Response('<!doctype html>', { headers: { 'content-type': 'text/html' } });

/** A script of the package with no headers but its type. */
const bare = (path: string): Response =>
  new Response(readFileSync(`dist/${path}`), { headers: { 'content-type': 'text/javascript' } });

test.each<[string, string | AssetOptions, RegExp]>([
  ['a folder that is not there', '/lost/', /worker\.js could not be loaded from \S+\/lost\/worker\.js/],
  ['a folder for which the server sends its page', '/spa/', /from \S+\/spa\/worker\.js/],
  ['a worker without the header of an isolated page', '/bare/', /or its response lacks Cross-Origin-Embedder-Policy/],
  [
    'a worker of another origin',
    { worker: 'https://example.com/worker.js' },
    /from https:\/\/example\.com\/worker\.js/,
  ],
  ['onnxruntime-web', { ort: '/lost/' }, /onnxruntime-web could not be loaded from \S+\/lost\/ort\.wasm/],
  [
    'onnxruntime-web, the page instead',
    { ort: '/spa' },
    /onnxruntime-web could not be loaded from \S+\/spa\/ort\.wasm/,
  ],
  ["onnxruntime-web's wasm only", { ort: '/half/' }, /wasm of onnxruntime-web could not be loaded from \S+\/half\//],
  [
    'glimpse',
    { glimpse: '/lost' },
    /\S+\.json of glimpse could not be loaded from \S+\/lost\/\S+: .*HTTP 404\. Not Found\. Either/,
  ],
  ['glimpse, the page instead', { glimpse: '/spa' }, /of glimpse could not be loaded from \S+\/spa\/\S+: .*web page/],
])('%s', async (_what, assets, where) => {
  await using page = await openPage({
    answer: ({ url }) => {
      const { pathname } = new URL(url);
      if (pathname.startsWith('/spa')) return application();
      if (pathname.startsWith('/bare/')) return bare(basename(pathname));
      return pathname.startsWith('/half/') && pathname.endsWith('.mjs') ? bare(`ort/${basename(pathname)}`) : undefined;
    },
  });
  const thrown = await page.evaluate(async (options) => {
    const near = nearsight.createNearsight({ model: glimpse, device: 'wasm', assets: options });
    const { code, message } = await near.load().then(() => ({ code: 'none', message: '' }), Object);
    near.dispose();
    return { code, message };
  }, assets);
  expect(thrown).toEqual({ code: 'load_failed', message: expect.stringMatching(where) });
  expect(thrown.message).toMatch(/npx nearsight assets public\/nearsight.*assets: '\/nearsight\/'.*optimizeDeps/);
});
