/** Memory of Chromium's renderers, as Linux counts it. */
import { readFileSync } from 'node:fs';

/** @typedef {Awaited<ReturnType<typeof import('../tools/browser.mjs').launchBrowser>>} Browser */

/** @param {Browser} browser @returns {Promise<number[]>} process ids */
export async function renderersOf(browser) {
  const cdp = await browser.target().createCDPSession();
  const { processInfo } = await cdp.send('SystemInfo.getProcessInfo');
  return processInfo.filter(({ type }) => type === 'renderer').map(({ id }) => id);
}

/**
 * @param {number} pid
 * @param {readonly ('Anon' | 'Shmem' | 'File')[]} kinds of memory: of no file, shared, and of files such as the browser's
 * @returns {number} bytes
 */
export function residentBytes(pid, kinds) {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const sizes = kinds.map((kind) => Number(new RegExp(`^Rss${kind}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]));
  return sizes.reduce((sum, kilobytes) => sum + kilobytes) * 1024;
}
