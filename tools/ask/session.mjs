import { isAbsolute } from 'node:path';
import { launchBrowser } from '../browser.mjs';
import { serve } from '../serve.mjs';
import { specOfFolder } from './model.mjs';
import { askInPage, html } from './page.mjs';

/** Cross-origin isolation, so that wasm can use threads. */
const headers = {
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
  'cross-origin-resource-policy': 'cross-origin',
  'access-control-allow-origin': '*',
};

/**
 * Serves the built package and the image, starts a browser and asks in it. Closes servers and browser before it settles.
 *
 * @param {import('./usage.mjs').Command} command
 * @param {(event: import('./page.mjs').PageEvent) => void} onEvent gets all events of the page, in order
 * @returns {Promise<void>} rejects if the page fails, or the browser dies
 */
export async function ask({ image, question, maxTokens, browser: name, device, gpu, model }, onEvent) {
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
    // Reported by events rather than returned, because an answer may take longer than the driver's time limit for a call.
    await new Promise((resolve, reject) => {
      browser.once('disconnected', () => reject(new Error(`${name} ended unexpectedly.`)));
      page.once('error', reject);
      /** @param {import('./page.mjs').PageEvent} event */
      const report = (event) => {
        if (event.type === 'failed') reject(new Error(event.message));
        else onEvent(event);
        if (event.type === 'end') resolve(undefined);
      };
      page
        .exposeFunction('report', report)
        .then(() => page.evaluate(askInPage, { model: spec, device, question, maxTokens, site: site.origin }))
        .catch(reject);
    });
  } finally {
    for (const close of closers.toReversed()) await close();
  }
}

/**
 * Answers for the files that are not in the package: the page, and the image.
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
