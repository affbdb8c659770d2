/** What the benchmarks of one model in one browser begin with. */
import { chdir } from 'node:process';
import { fileURLToPath } from 'node:url';
import { prepare } from '../tools/fresh.mjs';
import { fillStandin, standinAvailable, standinFolder } from '../tools/standin.mjs';

/**
 * Prepares the package and the model's files, and serves them.
 *
 * @param {boolean | undefined | { folder: string, files: string, endTokens: number[] }} which true: the full-size stand-in for
 *   SmolVLM-256M (q4); an object: another folder that the server has; else glimpse
 */
export async function openModelSite(which) {
  chdir(fileURLToPath(new URL('..', import.meta.url)));
  prepare();
  if (which === true && !standinAvailable)
    throw new Error('The full-size stand-in for SmolVLM-256M is not on this machine.');
  if (which === true) fillStandin('q4');
  // Imported here, after `prepare()` has installed the packages that these need.
  const [{ openSite }, { launchBrowser }, { installCounters }, { specOfFolder }] = await Promise.all([
    import('./site.mjs'),
    import('../tools/browser.mjs'),
    import('../tools/counters.mjs'),
    import('../tools/ask/model.mjs'),
  ]);
  const site = await openSite();
  const standin = { folder: 'standin', files: standinFolder, endTokens: [49279] };
  const glimpse = { folder: 'glimpse', files: 'models/glimpse', endTokens: [1279] };
  const { folder, files, endTokens } = typeof which === 'object' ? which : which ? standin : glimpse;
  const spec = await specOfFolder(files, `${site.origin}/models/${folder}/`);
  const model = { id: spec.id, folder, spec, endTokens };

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
