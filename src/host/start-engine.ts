import type { Engine } from './engine-host.ts';

/**
 * Starts a worker. In the page's entry, because bundlers look for this expression with an address beside the module that
 * holds it; the engine is a file of its own, which pages that only ask a remote never fetch.
 *
 * @param url the worker's script, where the bundler did not put it there
 */
export async function startEngine(url?: string | URL): Promise<Engine> {
  const { Engine } = await import('./engine-host.ts');
  return new Engine(
    url
      ? new Worker(url, { type: 'module' })
      : new Worker(new URL('../../worker/index.ts', import.meta.url), { type: 'module' }),
  );
}
