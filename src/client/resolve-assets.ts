import { pageURL } from '../bytes/page-url.ts';
import type { NearsightOptions } from './options.ts';

/**
 * Absolute URLs of files of the package. Those that are undefined are where the bundler, or the package itself, has
 * them.
 *
 * @param assets a folder like the package's `dist`, or the files one by one; relative to the page
 */
export function resolveAssets(assets: NearsightOptions['assets'] = {}): { worker?: string; ort?: string } {
  const fileURL = (url: string | URL, base = pageURL()): string => new URL(url, base).href;
  const folderURL = (url: string | URL): string => fileURL(url).replace(/\/?$/, '/');
  if (typeof assets === 'string' || assets instanceof URL) {
    const folder = folderURL(assets);
    return { worker: fileURL('worker.js', folder), ort: fileURL('ort/', folder) };
  }
  const { worker, ort } = assets;
  return { ...(worker && { worker: fileURL(worker) }), ...(ort && { ort: folderURL(ort) }) };
}
