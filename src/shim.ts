import { untilAborted } from './abort.ts';
import { openBody, readJson, type Body } from './api/body.ts';
import { getModel, health, listModels } from './api/catalogue.ts';
import { isObject } from './api/check.ts';
import { findEndpoint, ownedPath, targetURL, type Endpoint } from './api/endpoint.ts';
import { errorResponse } from './api/failure.ts';
import { parseChat, type ChatRequest } from './api/parse.ts';
import { respond } from './api/respond.ts';
import { route } from './route.ts';
import { NearsightError } from './wire/error.ts';
import type { Part } from './wire/job.ts';

export interface ShimOptions {
  /** Origins or URL prefixes that are answered here and never passed on. */
  owns: readonly (string | URL)[];
  /** Where other requests go. @defaultValue the global `fetch`, as it was when the shim was made */
  fetch?: typeof globalThis.fetch | undefined;
  /** The name of the model that is served here. */
  model: () => Promise<string>;
  /** Most bytes of a request body. */
  requestBytes: number;
  /** Read `<img>` tags in string content as pictures. @defaultValue false */
  imgTags?: boolean | undefined;
  /** Starts an answer. The stream must error with `signal`'s reason when that aborts. */
  generate: (request: ChatRequest, signal?: AbortSignal) => Promise<ReadableStream<Part>>;
}

/**
 * A `fetch` that answers requests to the owned addresses itself, and passes others on untouched.
 *
 * An owned request rejects only if its signal aborts (with the signal's reason) or if the native `fetch` would throw;
 * every other failure is a Response. An unknown path or method there is a 404 or 405, so that nothing leaks out.
 */
export function createShim(options: ShimOptions): typeof globalThis.fetch {
  // Taken now: a page may install the shim as its global fetch.
  const passOn = options.fetch ?? globalThis.fetch;
  return async (input, init) => {
    const url = targetURL(input);
    const path = url && ownedPath(url, options.owns);
    if (!url || path === undefined) return passOn(input, init);

    const request = input instanceof Request ? input : undefined;
    const method = (init?.method ?? request?.method ?? 'GET').toUpperCase();
    const signal = (init?.signal === undefined ? request?.signal : init.signal) ?? undefined;
    signal?.throwIfAborted();
    const body = openBody(input, init);
    try {
      const endpoint = findEndpoint(path, url.pathname);
      const response = await untilAborted(answer(endpoint, method, body, options, signal), signal);
      return Object.defineProperty(response, 'url', { value: url.href });
    } catch (error) {
      signal?.throwIfAborted();
      return errorResponse(error);
    }
  };
}

async function answer(
  endpoint: Endpoint | undefined,
  method: string,
  body: Body,
  options: ShimOptions,
  signal?: AbortSignal,
): Promise<Response> {
  if (!endpoint) {
    throw new NearsightError('unknown_url', 'There is nothing at this path. Try POST /v1/chat/completions.');
  }
  const expected = endpoint.name === 'chat' ? 'POST' : 'GET';
  if (method !== expected) {
    const error = new NearsightError('method_not_allowed', `This path takes ${expected}, not ${method}.`);
    return errorResponse(error, { allow: expected });
  }
  if (endpoint.name === 'ready' || endpoint.name === 'live') return health(endpoint.name);
  const model = await options.model();
  if (endpoint.name === 'models') return endpoint.model ? getModel([model], endpoint.model) : listModels([model]);

  const request = parseChat(nameModel(await readJson(body, options.requestBytes), endpoint.model), options);
  const { reason } = route(request.model, [model]);
  const parts = await options.generate(request, signal);
  return respond(request, parts, { model, reason, signal });
}

/** A model named by the path need not be named in the body. */
function nameModel(body: unknown, model: string | undefined): unknown {
  return model && isObject(body) ? { ...body, model: body['model'] ?? model } : body;
}
