import { trustedURL } from '../bytes/trusted-url.ts';
import { NearsightError } from '../protocol/errors.ts';
import { checkContext, policyRefusal, watchPolicy } from './check-context.ts';
import type { EngineHost } from './engine-host.ts';

/**
 * Starts a worker. In the page's entry, because bundlers look for this expression with a URL beside the module that
 * holds it. The host is a chunk of its own: pages that only ask a remote never fetch it.
 *
 * @param url the worker's script; default: the file beside this module, which bundlers find by this expression
 * @throws NearsightError `unsupported_device` if no worker can run in this context; `load_failed` if the browser does not
 *   start it
 */
export async function startEngine(url?: string): Promise<EngineHost> {
  checkContext();
  watchPolicy();
  try {
    const { EngineHost } = await import('./engine-host.ts');
    const worker = url
      ? new Worker(trustedURL(url), { type: 'module' })
      : new Worker(new URL('../../worker/index.ts', import.meta.url), { type: 'module' });
    return new EngineHost(worker, notStarted);
  } catch (cause) {
    throw await notStarted(cause);
  }
}

async function notStarted(cause: unknown): Promise<NearsightError> {
  const refusal = await policyRefusal();
  if (refusal) return refusal;
  const message = `The worker could not be started: ${String(cause)}. Is it on the page's origin, where assets says?`;
  return new NearsightError('load_failed', message, { cause });
}
