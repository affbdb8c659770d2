/** What the benchmarks of one model in one browser begin with. */
import { chdir } from 'node:process';
import { fileURLToPath } from 'node:url';
import { prepare } from '../tools/fresh.mjs';
import { fillStandin, standinAvailable, standinFolder } from '../tools/standin.mjs';

/**
 * Prepares the package and the model's files, and serves them.
 *
 * @param {boolean | undefined} full glimpse, or the full-size stand-in for SmolVLM-256M (q4)
 */
export async function openModelSite(full) {
  chdir(fileURLToPath(new URL('..', import.meta.url)));
  prepare();
  if (full && !standinAvailable) throw new Error('The full-size stand-in for SmolVLM-256M is not on this machine.');
  if (full) fillStandin('q4');
  // Imported here, after `prepare()` has installed the packages that these need.
  const [{ openSite }, { launchBrowser }, { installCounters }, { specOfFolder }] = await Promise.all([
    import('./site.mjs'),
    import('../tools/browser.mjs'),
    import('../tools/counters.mjs'),
    import('../tools/ask/model.mjs'),
  ]);
  const site = await openSite();
  const folder = full ? 'standin' : 'glimpse';
  const spec = await specOfFolder(full ? standinFolder : 'models/glimpse', `${site.origin}/models/${folder}/`);
  const model = { id: spec.id, folder, spec, endTokens: full ? [49279] : [1279] };

  /**
   * Starts a browser and opens the benchmark's page in it.
   *
   * @param {string | undefined} name `firefox`; else Chromium
   * @param {{ profile?: string, gigabytes?: number | undefined, cores?: number, counted?: boolean }} [options]
   *   `gigabytes` and `cores`: what workers are told that the device has; `counted`: whether workers are counted, which ours need
   */
  async function openPage(name, { gigabytes, cores, counted = true, ...options } = {}) {
    const browser = await launchBrowser(name === 'firefox' ? 'firefox' : 'chromium', {
      ...options,
      protocolTimeout: 0,
    });
    const page = await browser.newPage();
    page.on('pageerror', (error) => console.error(String(error)));
    if (counted) await page.evaluateOnNewDocument(installCounters, { gigabytes, cores });
    await page.goto(`${site.origin}/`);
    await page.waitForFunction(() => 'bench' in globalThis);
    return { browser, page };
  }
  return { site, model, openPage };
}
