/**
 * Starts the worker's script. A module of its own, in the page's entry: bundlers look for this expression, with an
 * address beside the module that holds it.
 *
 * @param url the script, where the bundler did not put it there
 */
export function startWorker(url?: string | URL): Worker {
  return url
    ? new Worker(url, { type: 'module' })
    : new Worker(new URL('../../worker/index.ts', import.meta.url), { type: 'module' });
}
