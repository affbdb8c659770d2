import puppeteer from 'puppeteer-core';
import { findBrowser } from './setup/browsers.mjs';
import { lavapipeEnvironment } from './setup/lavapipe.mjs';

/**
 * docs/browsers.md says which flags each browser needs for WebGPU.
 *
 * @typedef {object} LaunchOptions
 * @property {boolean} [headless] default true
 * @property {'software' | 'hardware'} [gpu] the adapter of WebGPU. Default 'software', with the same results on
 *   every machine. (On macOS and Windows, Firefox always uses the platform's adapter.)
 * @property {readonly string[]} [flags] of Chromium, besides those that it needs
 * @property {Record<string, unknown>} [preferences] of Firefox, besides those that it needs
 * @property {boolean} [extensions] whether `installExtension` works in Chromium. Default false
 * @property {string} [profile] the folder of a profile to use and keep. Default: a new one, deleted at the end
 * @property {number} [protocolTimeout] the time limit of one call into a page, in milliseconds; 0: none. Default 180,000
 */

const chromiumFlags = [
  '--enable-unsafe-webgpu',
  // QUIC and background services add requests to the log.
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

const firefoxPreferences = {
  'dom.webgpu.enabled': true,
  'dom.webgpu.workers.enabled': true,
  'gfx.webgpu.ignore-blocklist': true,
  'gfx.webgpu.force-enabled': true,
};

/**
 * Starts a browser in which `navigator.gpu` works, in pages and in workers.
 *
 * @param {import('./setup/browsers.mjs').BrowserName} name
 * @param {LaunchOptions} [options]
 * @returns {Promise<import('puppeteer-core').Browser>} the caller closes it
 */
export async function launchBrowser(name, options = {}) {
  const { headless = true, gpu = 'software', flags = [], preferences = {}, protocolTimeout = 180_000 } = options;
  const executablePath = findBrowser(name);
  if (!executablePath) throw new Error(`No ${name} on this machine: run \`npm run setup\`.`);
  const userDataDir = options.profile ? { userDataDir: options.profile } : {};
  if (name === 'firefox') {
    const driver = gpu === 'software' ? lavapipeEnvironment() : {};
    const env = { ...process.env, ...driver };
    const extraPrefsFirefox = { ...firefoxPreferences, ...preferences };
    const common = { executablePath, headless, protocolTimeout, ...userDataDir };
    return puppeteer.launch({ ...common, browser: name, env, extraPrefsFirefox });
  }
  const adapter = gpu === 'software' ? '--use-webgpu-adapter=swiftshader' : '--enable-features=Vulkan';
  // Chromium's sandbox does not start as root, which is the user in most containers.
  const sandbox = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  const args = [...chromiumFlags, adapter, ...sandbox, ...flags];
  const { extensions = false } = options;
  // Extensions can be installed over a pipe only.
  const transport = { pipe: extensions, enableExtensions: extensions };
  return puppeteer.launch({ executablePath, headless, args, protocolTimeout, ...transport, ...userDataDir });
}
