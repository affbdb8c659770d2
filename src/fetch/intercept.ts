import { race } from '../async/race.ts';
import { openBody } from './request-body.ts';
import { isRequest, findEndpoint, interceptedPath, targetURL } from './endpoint.ts';
import { errorResponse } from '../openai/error-response.ts';
import type { ChatRequest } from '../openai/parse-request.ts';
import type { ImageRules } from '../media/load-images.ts';
import type { RemoteOptions } from '../remote/ask-remote.ts';
import type { ChoosePolicy, Policy } from './route.ts';
import type { Part } from '../protocol/job.ts';
import type { PartReader } from '../protocol/port.ts';

/** What the shim is told, beyond how to answer. All of it is public: see `NearsightOptions`. */
export interface FetchOptions {
  /** What `fetch` passes other requests to. @defaultValue the global `fetch`, as it was when this was made */
  fetch?: typeof globalThis.fetch | undefined;
  /** Other names of the local model: requests for them are answered by it. @defaultValue none */
  aliases?: Readonly<Record<string, string>> | undefined;
  /**
   * Who is asked first, and whether anything may leave: `local-only`, `local-first`, `remote-first`, or a function. A
   * request may be stricter by its header `x-nearsight-policy`.
   * @defaultValue 'local-first', which without `remote` sends nothing anywhere
   */
  policy?: Policy | ChoosePolicy | undefined;
  /** The endpoint for what cannot be answered here. @defaultValue none: nothing can be sent */
  remote?: RemoteOptions | undefined;
  /** How images are read. */
  images?: ImageOptions | undefined;
}

/** Where images may come from. */
export interface ImageOptions {
  /** Origins from which images are fetched even under `local-only`. @defaultValue none but the page's own */
  origins?: readonly string[] | undefined;
  /** Read `<img src="…">` in a user's string content as an image. @defaultValue false, it stays text */
  tags?: boolean | undefined;
}

/** {@link FetchOptions}, and how to answer. */
export interface InterceptOptions extends FetchOptions {
  /** Origins or URL prefixes that are answered here and never passed on. */
  intercept: readonly (string | URL)[];
  /** The name of the model that is served here. */
  model: () => Promise<string>;
  limits: { requestBytes: number } & Pick<ImageRules, 'imageBytes' | 'images'>;
  /** Starts an answer. The stream must error with `signal`'s reason when that aborts. */
  generate: (request: ChatRequest, signal?: AbortSignal, allowed?: ImageRules['allowed']) => Promise<PartReader<Part>>;
}

let imported: Promise<typeof import('./handle-request.ts')> | undefined;

/**
 * A file of its own: pages that only pass requests on, or only call `ask`, never fetch it.
 *
 * One import for all, because Chromium wakes several imports of the same file in any order, and requests sent at once
 * shall be answered in order. A failed one is not remembered.
 */
function answerer(): Promise<typeof import('./handle-request.ts')> {
  imported ??= import('./handle-request.ts').catch((error: unknown) => {
    imported = undefined;
    throw error;
  });
  return imported;
}

/**
 * A `fetch` that answers requests to the owned addresses itself, and passes others on untouched.
 *
 * An owned request rejects only if its signal aborts (with the signal's reason) or if the native `fetch` would throw;
 * every other failure is a Response. An unknown path or method there is a 404 or 405, so that nothing leaks out.
 */
export function createFetch(options: InterceptOptions): typeof globalThis.fetch {
  // Taken now: a page may install the shim as its global fetch.
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
    const body = openBody(input, init);
    const endpoint = findEndpoint(path, url.pathname);
    try {
      const { handleRequest: answer } = await race(answerer(), signal);
      const call = { url, endpoint, method, headers, body, signal };
      const response = await race(answer(call, { ...options, fetch: passOn }), signal);
      return Object.defineProperty(response, 'url', { value: url.href });
    } catch (error) {
      signal?.throwIfAborted();
      return errorResponse(error);
    }
  };
}
