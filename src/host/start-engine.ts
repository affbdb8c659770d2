import { NearsightError } from '../protocol/errors.ts';
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
    return new EngineHost(
      url
        ? new Worker(url, { type: 'module' })
        : new Worker(new URL('../../worker/index.ts', import.meta.url), { type: 'module' }),
    );
  } catch (cause) {
    const message = `The worker could not be started: ${String(cause)}. Is it on the page's origin, where assets says?`;
    throw new NearsightError('load_failed', message, { cause });
  }
}
