import { race } from '../async/race.ts';
import { errorResponse } from '../openai/error-response.ts';
import { NearsightError } from '../protocol/errors.ts';
import { findEndpoint, interceptedPath, isRequest, targetURL } from './endpoint.ts';
import { openBody } from './request-body.ts';
import type { InterceptOptions } from './request-context.ts';

let imported: Promise<typeof import('./handle-request.ts')> | undefined;

/**
 * A chunk of its own: pages that only pass requests on, or only call `ask`, never fetch it.
 *
 * All calls share one import: Chromium resolves several imports of one file in any order, and requests that are sent at
 * once must be answered in order. A failed import is not remembered.
 *
 * @param checkContext throws where no import can succeed, as in a service worker
 */
function importHandler({ checkContext }: InterceptOptions): Promise<typeof import('./handle-request.ts')> {
  imported ??= import('./handle-request.ts').catch((cause: unknown) => {
    imported = undefined;
    checkContext?.();
    const message = `The code that answers requests could not be fetched: ${String(cause)}`;
    throw new NearsightError('load_failed', message, { cause });
  });
  return imported;
}

/**
 * A `fetch` that answers requests to the intercepted URLs itself, and passes others on untouched.
 *
 * An intercepted request rejects only if its signal aborts (with the signal's reason) or if the native `fetch` would
 * throw; every other failure is a Response. An unknown path or method is a 404 or 405, so that nothing leaves the page.
 */
export function createFetch(options: InterceptOptions): typeof globalThis.fetch {
  // Read now: a page may install the result as its global fetch.
  const passOn = options.fetch ?? globalThis.fetch;
  return async (input, init) => {
    const url = targetURL(input);
    const path = url && interceptedPath(url, options.intercept);
    if (!url || path === undefined) return passOn(input, init);

    const request = isRequest(input) ? input : undefined;
    const method = (init?.method ?? request?.method ?? 'GET').toUpperCase();
    const headers = new Headers(init?.headers ?? request?.headers);
    const signal = (init?.signal === undefined ? request?.signal : init.signal) ?? undefined;
    signal?.throwIfAborted();
    const { disposal } = options;
    const until = signal && disposal ? AbortSignal.any([signal, disposal]) : (signal ?? disposal);
    const body = openBody(request, init, headers, options.limits.requestBytes, signal);
    const endpoint = findEndpoint(path, url.pathname);
    try {
      const { handleRequest } = await race(importHandler(options), until);
      const context = { url, endpoint, method, headers, body, signal, until, fetch: passOn, options };
      const response = await race(handleRequest(context), until);
      return fromServer(response, url);
    } catch (error) {
      signal?.throwIfAborted();
      return fromServer(errorResponse(error), url);
    }
  };
}

/** A Response, and its clones, with what `fetch` tells about where one came from: a constructed one has no URL. */
function fromServer(response: Response, url: URL): Response {
  const type = url.origin === globalThis.location?.origin ? 'basic' : 'cors';
  const clone = (): Response => fromServer(Response.prototype.clone.call(response), url);
  return Object.defineProperties(response, {
    url: { value: url.href },
    type: { value: type },
    clone: { value: clone },
  });
}
