import { pageURL } from '../bytes/page-url.ts';
import type { NearsightOptions } from './options.ts';

/** Absolute URLs of the worker's script and of folders of the package, which end in `/`. */
export type AssetURLs = Partial<Record<'worker' | 'ort' | 'glimpse', string>>;

/**
 * Those that are undefined are where the bundler, or the package itself, has them.
 *
 * @param assets a folder like the package's `dist`, or its parts one by one; relative to the page
 */
export function resolveAssets(assets: NearsightOptions['assets'] = {}): AssetURLs {
  const fileURL = (url: string | URL, base = pageURL()): string => new URL(url, base).href;
  const folderURL = (url: string | URL): string => fileURL(url).replace(/\/?$/, '/');
  if (typeof assets === 'string' || assets instanceof URL) {
    const folder = folderURL(assets);
    const [worker, ort, glimpse] = [fileURL('worker.js', folder), fileURL('ort/', folder), fileURL('glimpse/', folder)];
    return { worker, ort, glimpse };
  }
  const { worker, ort, glimpse } = assets;
  return {
    ...(worker && { worker: fileURL(worker) }),
    ...(ort && { ort: folderURL(ort) }),
    ...(glimpse && { glimpse: folderURL(glimpse) }),
  };
}
