import { trustedURL } from '../bytes/trusted-url.ts';
import { NearsightError } from '../protocol/errors.ts';
import { missingAsset } from '../protocol/missing-asset.ts';
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
  const { EngineHost } = await import('./engine-host.ts').catch((cause: unknown) => {
    const message = `The code that starts the worker could not be fetched: ${String(cause)}`;
    throw new NearsightError('load_failed', message, { cause });
  });
  try {
    const worker = url
      ? new Worker(trustedURL(url), { type: 'module' })
      : new Worker(new URL('../../worker/index.ts', import.meta.url), { type: 'module' });
    return new EngineHost(worker, (why) => notStarted(url, why));
  } catch (cause) {
    throw await notStarted(url, `${String(cause)} (it must be on the page's own origin)`, cause);
  }
}

async function notStarted(url: string | undefined, why: string, cause?: unknown): Promise<NearsightError> {
  return (await policyRefusal()) ?? missingAsset('worker.js', url, why, cause);
}
