/** Memory of a browser's processes, as Linux counts it. */
import { readdirSync, readFileSync } from 'node:fs';

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

/**
 * @param {Browser} browser
 * @returns {number} bytes of no file in all of its processes: pages, workers, and a software GPU's buffers
 */
export function browserBytes(browser) {
  /** @type {Map<number, number[]>} */
  const children = new Map();
  for (const id of readdirSync('/proc').map(Number).filter(Boolean)) {
    const parent = parentOf(id);
    children.set(parent, [...(children.get(parent) ?? []), id]);
  }
  /** @param {number} id @returns {number[]} */
  const below = (id) => [id, ...(children.get(id) ?? []).flatMap(below)];
  return below(browser.process()?.pid ?? 0).reduce((sum, id) => sum + sizeOf(id), 0);
}

/** @param {number} id @returns {number} 0 if it has ended meanwhile */
function parentOf(id) {
  try {
    return Number(/^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${id}/status`, 'utf8'))?.[1]);
  } catch {
    return 0;
  }
}

/** @param {number} id @returns {number} bytes; 0 if it has ended, collected by its parent or not */
function sizeOf(id) {
  try {
    return residentBytes(id, ['Anon', 'Shmem']) || 0;
  } catch {
    return 0;
  }
}
