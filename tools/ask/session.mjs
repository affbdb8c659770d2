import { mkdirSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { launchBrowser } from '../browser.mjs';
import { serve } from '../serve.mjs';
import { cacheFolder } from '../setup/cache.mjs';
import { specOfFolder } from './model.mjs';
import { askInPage, html } from './page.mjs';

/** Where the page is served from with a profile that is kept. */
const ports = { chromium: 47_110, firefox: 47_111 };

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
 * @param {(text: string) => void} note tells the user something
 * @param {(event: import('./page.mjs').PageEvent) => void} onEvent gets all events of the page, in order
 * @returns {Promise<void>} rejects if the page fails, or the browser dies
 */
export async function ask(command, note, onEvent) {
  const { image, question, maxTokens, browser: name, device, gpu, model, baseURL } = command;
  /** @type {(() => Promise<unknown>)[]} */
  const closers = [];
  try {
    const keeps = model !== 'glimpse' && !isAbsolute(model);
    const { site, profile } = await servePage(image, keeps ? name : undefined, note);
    closers.push(site.close);
    let spec = /** @type {unknown} */ (model);
    if (isAbsolute(model)) {
      const files = await serve(model, { headers });
      closers.push(files.close);
      spec = await specOfFolder(model, `${files.origin}/`);
    } else if (model.includes('/')) spec = { hub: model };
    const browser = await launchBrowser(name, { gpu, ...(profile ? { profile } : {}) });
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
        .then(() => page.evaluate(askInPage, { model: spec, baseURL, device, question, maxTokens, site: site.origin }))
        .catch(reject);
    });
  } finally {
    for (const close of closers.toReversed()) await close();
  }
}

/**
 * Serves the page: for models that are kept at an address of its own, because a browser keeps files by origin. The address
 * also says whose turn it is: a profile is used by one browser at a time.
 *
 * @param {Buffer<ArrayBuffer>} image
 * @param {import('../setup/browsers.mjs').BrowserName | undefined} keptBy
 * @param {(text: string) => void} note
 * @returns {Promise<{ site: import('../serve.mjs').Server, profile?: string }>}
 */
async function servePage(image, keptBy, note) {
  const options = { headers, answer: (/** @type {Request} */ request) => answer(request, image) };
  if (!keptBy) return { site: await serve('dist', options) };
  const profile = join(cacheFolder, 'ask', keptBy);
  try {
    mkdirSync(profile, { recursive: true });
    return { site: await serve('dist', { ...options, port: ports[keptBy] }), profile };
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const isTaken = 'code' in error && error.code === 'EADDRINUSE';
    const why = isTaken ? `port ${ports[keptBy]} is in use, perhaps by another run` : error.message;
    note(`${why}, so nothing is kept of this run`);
    return { site: await serve('dist', options) };
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
