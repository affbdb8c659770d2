import puppeteer from 'puppeteer-core';
import { findBrowser } from './setup/browsers.mjs';
import { lavapipeEnvironment } from './setup/lavapipe.mjs';

/**
 * What each browser needs for WebGPU, found by trying: docs/browsers.md.
 *
 * @typedef {object} LaunchOptions
 * @property {boolean} [headless] default true
 * @property {'software' | 'hardware'} [gpu] which adapter WebGPU shall find. Default 'software': the same results on
 *   every machine, with a GPU or without. (On macOS and Windows Firefox always uses the platform's.)
 * @property {number} [protocolTimeout] milliseconds that one call into a page may take; 0: any. Default 180,000
 */

const chromiumFlags = [
  '--enable-unsafe-webgpu',
  // QUIC and the background services only add noise to the log of requests.
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
export async function launchBrowser(name, { headless = true, gpu = 'software', protocolTimeout = 180_000 } = {}) {
  const executablePath = findBrowser(name);
  if (!executablePath) throw new Error(`No ${name} on this machine: run \`npm run setup\`.`);
  if (name === 'firefox') {
    const driver = gpu === 'software' ? lavapipeEnvironment() : {};
    const env = { ...process.env, ...driver };
    const extraPrefsFirefox = firefoxPreferences;
    return puppeteer.launch({ browser: name, executablePath, headless, env, extraPrefsFirefox, protocolTimeout });
  }
  const adapter = gpu === 'software' ? '--use-webgpu-adapter=swiftshader' : '--enable-features=Vulkan';
  // Chromium's sandbox refuses to start as root, as in most containers.
  const sandbox = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  const args = [...chromiumFlags, adapter, ...sandbox];
  return puppeteer.launch({ executablePath, headless, args, protocolTimeout });
}
