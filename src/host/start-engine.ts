import { missingAsset } from '../protocol/missing-asset.ts';
import type { EngineHost } from './engine-host.ts';

/**
 * Starts a worker. In the page's entry, because bundlers look for this expression with a URL beside the module that
 * holds it. The host is a chunk of its own: pages that only ask a remote never fetch it.
 *
 * @param url the worker's script; default: the file beside this module, which bundlers find by this expression
 * @throws NearsightError `load_failed` if the browser does not start it
 */
export async function startEngine(url?: string): Promise<EngineHost> {
  try {
    const { EngineHost } = await import('./engine-host.ts');
    const worker = url
      ? new Worker(url, { type: 'module' })
      : new Worker(new URL('../../worker/index.ts', import.meta.url), { type: 'module' });
    return new EngineHost(worker, url);
  } catch (cause) {
    throw missingAsset('worker.js', url, `${String(cause)} (it must be on the page's own origin)`, cause);
  }
}
