import { isAbsolute } from 'node:path';
import { launchBrowser } from '../browser.mjs';
import { serve } from '../serve.mjs';
import { specOfFolder } from './model.mjs';
import { askInPage, html } from './page.mjs';

/** Isolation, so that wasm may use threads. */
const headers = {
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
  'cross-origin-resource-policy': 'cross-origin',
  'access-control-allow-origin': '*',
};

/**
 * Serves the built package and the image, starts a browser and asks in it. All of it is gone when this settles.
 *
 * @param {import('./usage.mjs').Command} command
 * @param {(told: import('./page.mjs').Told) => void} onTold hears everything that the page tells, in order
 * @returns {Promise<void>} rejects if the page fails, or the browser dies
 */
export async function ask({ image, question, maxTokens, browser: name, device, gpu, model }, onTold) {
  /** @type {(() => Promise<unknown>)[]} */
  const closers = [];
  try {
    const site = await serve('dist', { headers, answer: (request) => answer(request, image) });
    closers.push(site.close);
    let spec = /** @type {unknown} */ (model);
    if (isAbsolute(model)) {
      const files = await serve(model, { headers });
      closers.push(files.close);
      spec = await specOfFolder(model, `${files.origin}/`);
    }
    const browser = await launchBrowser(name, { gpu });
    closers.push(() => browser.close());
    const page = await browser.newPage();
    await page.goto(`${site.origin}/`);
    // Told rather than returned: an answer may take longer than the driver waits for a call.
    await new Promise((resolve, reject) => {
      browser.once('disconnected', () => reject(new Error(`${name} ended unexpectedly.`)));
      page.once('error', reject);
      /** @param {import('./page.mjs').Told} told */
      const tell = (told) => {
        if (told.type === 'failed') reject(new Error(told.message));
        else onTold(told);
        if (told.type === 'end') resolve(undefined);
      };
      page
        .exposeFunction('tell', tell)
        .then(() => page.evaluate(askInPage, { model: spec, device, question, maxTokens, site: site.origin }))
        .catch(reject);
    });
  } finally {
    for (const close of closers.toReversed()) await close();
  }
}

/**
 * What the package does not hold: the page, and the image to ask about.
 *
 * @param {Request} request
 * @param {Buffer<ArrayBuffer>} image
 */
function answer(request, image) {
  const { pathname } = new URL(request.url);
  if (pathname === '/') return new Response(html, { headers: { ...headers, 'content-type': 'text/html' } });
  if (pathname === '/image') return new Response(image, { headers });
  return undefined;
}
