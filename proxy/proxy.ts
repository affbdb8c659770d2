import { readWithin } from '../src/bytes/read-within.ts';
import { isObject, mustBe } from '../src/openai/field-checks.ts';
import { errorResponse } from '../src/openai/error-response.ts';
import { NearsightError } from '../src/protocol/errors.ts';
import { memoryStore, type RateStore } from './limits.ts';
import { checkOptions, type NimProxyOptions } from './proxy-options.ts';

/** Answers one request of a page. Rejects only if the page has closed the connection. */
export type NimProxy = (request: Request) => Promise<Response>;

interface Target {
  method: 'GET' | 'POST';
  url: string;
  /** The model that the path names. */
  model?: string | undefined;
}

const NVIDIA = { chat: 'https://integrate.api.nvidia.com/v1', vlm: 'https://ai.api.nvidia.com/v1' };

/** The headers of the upstream that are passed on. */
const PASSED_HEADERS = ['content-type', 'retry-after', 'nvcf-reqid', 'nvcf-status', 'x-request-id', 'deprecation'];

/**
 * The server side of `remote: { baseURL: '/nim' }`: passes requests on to NVIDIA with a key that pages never see.
 * Mount it at any path; it answers `…/chat/completions`, `…/vlm/{publisher}/{model}` and `…/status/{id}`.
 *
 * Answers are streamed. A request is read completely first, because its model and its size decide; nothing is passed on
 * unless the origin, the caller, the rate, the size and the model are allowed, checked in that order.
 *
 * @throws NearsightError `invalid_request` naming the option that is missing, misspelt or has a wrong value
 */
export function createNimProxy(nimProxyOptions: NimProxyOptions): NimProxy {
  const options = checkOptions(nimProxyOptions, '');
  const store = options.rateLimit?.store ?? memoryStore();
  return async (request) => {
    const cors = corsHeaders(request, options.origins ?? []);
    try {
      if (!cors) {
        const message = 'Pages of this origin may not use this proxy: its option origins does not list it.';
        throw new NearsightError('origin_refused', message);
      }
      if (request.method === 'OPTIONS') return new Response(null, { status: 204, headers: cors });
      const response = await answer(request, options, store);
      for (const [name, value] of Object.entries(cors)) response.headers.set(name, value);
      return response;
    } catch (error) {
      request.signal.throwIfAborted();
      if (error instanceof NearsightError) return refuse(error, cors);
      // An error of `authorize`, `apiKey` or a store may contain a secret: it goes to the server's log only.
      console.error(error);
      return refuse(new NearsightError('internal', 'The proxy failed. Its log says why.'), cors);
    }
  };
}

async function answer(request: Request, options: NimProxyOptions, store: RateStore): Promise<Response> {
  const target = targetOf(request, options.upstream ?? NVIDIA);
  if (!target) throw new NearsightError('unknown_url', 'There is nothing at this path. Try …/chat/completions.');
  if (request.method !== target.method) {
    const error = new NearsightError('method_not_allowed', `This path takes ${target.method}, not ${request.method}.`);
    return refuse(error, { allow: target.method });
  }
  if (!(await options.authorize(request))) {
    throw new NearsightError('unauthorized', 'This proxy refused the caller: its authorize() returned false.');
  }
  const limit = options.rateLimit;
  const wait = limit ? await store.take(await limit.client(request), limit.requests, limit.seconds) : 0;
  if (wait > 0) {
    const error = new NearsightError('rate_limited', `Too many requests. Ask again in ${wait} seconds.`);
    return refuse(error, { 'retry-after': String(wait) });
  }
  const body = target.method === 'POST' ? await readBody(request, target, options) : null;
  // A file often ends with a line end, which a header does not send.
  const key = (typeof options.apiKey === 'function' ? await options.apiKey() : options.apiKey)?.trim();
  if (!key) throw new NearsightError('remote_unavailable', 'The proxy has no key: its apiKey is empty.');
  return ask(target, request, body, key);
}

function refuse(error: NearsightError, headers?: Record<string, string>): Response {
  return errorResponse(error, { 'x-nearsight-origin': 'proxy', ...headers });
}

/** The target of a path, by its end: the proxy does not know where it is mounted. */
function targetOf(request: Request, { chat, vlm }: { chat: string; vlm: string }): Target | undefined {
  const path = new URL(request.url).pathname;
  if (path.endsWith('/chat/completions')) return { method: 'POST', url: `${chat}/chat/completions` };
  const model = /\/vlm\/([\w.-]+\/[\w.-]+)$/.exec(path)?.[1];
  if (model) return { method: 'POST', url: `${vlm}/vlm/${model}`, model };
  const id = /\/status\/([\w-]+)$/.exec(path)?.[1];
  return id ? { method: 'GET', url: `${vlm}/status/${id}` } : undefined;
}

/** The CORS headers for an origin: none for the proxy's own; undefined if the origin is not allowed. */
function corsHeaders(request: Request, origins: readonly string[]): Record<string, string> | undefined {
  const origin = request.headers.get('origin');
  if (origin === null || origin === new URL(request.url).origin) return {};
  if (!origins.includes(origin)) return undefined;
  return {
    'access-control-allow-origin': origin,
    'access-control-allow-credentials': 'true',
    'access-control-allow-headers': 'accept, authorization, content-type',
    'access-control-allow-methods': 'GET, POST',
    'access-control-expose-headers': PASSED_HEADERS.join(', '),
    'access-control-max-age': '86400',
    vary: 'origin',
  };
}

/** The request's text, if its size and its model are allowed. */
async function readBody(request: Request, target: Target, options: NimProxyOptions): Promise<string> {
  const type = request.headers.get('content-type') ?? '';
  if (!type.toLowerCase().startsWith('application/json')) {
    const message = `The body must be application/json, but its content-type is '${type.slice(0, 80)}'.`;
    throw new NearsightError('unsupported_media_type', message, { param: 'content-type' });
  }
  const limit = options.maxBytes ?? 25 * 1024 * 1024;
  const declared = Number(request.headers.get('content-length'));
  const bytes = declared > limit ? undefined : await readWithin(request.body, limit);
  if (!bytes) {
    const message = `The body has more than ${limit} bytes (the proxy's maxBytes). Send fewer or smaller images.`;
    throw new NearsightError('request_too_large', message);
  }
  const body = rewrite(bytes);
  const named = [target.model, body.model].filter((model) => model !== undefined);
  if (named.length === 0 || !named.every((model) => typeof model === 'string' && options.models.includes(model))) {
    const message = `This proxy does not pass that model on. Allowed: ${options.models.join(', ')}.`;
    throw new NearsightError('model_not_found', message, { param: 'model' });
  }
  return body.text;
}

/**
 * The body, serialised again, so that the upstream cannot read another model in it than we do: from two fields of one
 * name, or from `MODEL`, which Go reads as `model`.
 */
function rewrite(bytes: Uint8Array): { text: string; model: unknown } {
  let body: unknown;
  let text: string;
  try {
    body = JSON.parse(new TextDecoder().decode(bytes));
    text = JSON.stringify(body);
  } catch (cause) {
    throw new NearsightError('invalid_request', 'The body is not valid JSON.', { cause });
  }
  if (!isObject(body)) throw mustBe('a JSON object', body, '');
  const variant = Object.keys(body).find((name) => name !== 'model' && name.toLowerCase() === 'model');
  if (variant) {
    throw new NearsightError('invalid_request', `Unknown field: ${variant}. Remove it.`, { param: variant });
  }
  return { text, model: body['model'] };
}

async function ask(target: Target, { headers, signal }: Request, body: string | null, key: string): Promise<Response> {
  const response = await fetch(target.url, {
    method: target.method,
    headers: {
      accept: headers.get('accept') ?? 'application/json',
      authorization: `Bearer ${key}`,
      ...(body && { 'content-type': 'application/json' }),
    },
    body,
    // A redirect must not carry the key to another server.
    redirect: 'manual',
    signal,
  }).catch((cause: unknown) => {
    throw new NearsightError('remote_unavailable', `The proxy could not reach ${new URL(target.url).origin}.`, {
      cause,
    });
  });
  const passed = [...response.headers].filter(([name]) => PASSED_HEADERS.includes(name));
  const init = { status: response.status, statusText: response.statusText, headers: passed };
  if (response.status >= 300 && response.status < 400) {
    await response.body?.cancel();
    const message = `${new URL(target.url).origin} answered with a redirect (${response.status}), which is not followed.`;
    throw new NearsightError('remote_unavailable', message);
  }
  if (response.ok) return new Response(response.body, init);
  // Without its text if that is too large or breaks off: the status is passed on anyway.
  const text = new TextDecoder().decode(await readWithin(response.body, 256 * 1024).catch(() => undefined));
  // The upstream may quote the key that it was sent.
  return new Response(text.replaceAll(key, '[key]'), init);
}
