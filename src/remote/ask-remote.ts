import { race } from '../async/race.ts';
import { awaitContent } from './await-content.ts';
import { relayEvents, unusable } from './relay.ts';
import { toDialect } from './dialects.ts';
import { isObject } from '../openai/field-checks.ts';
import { headerText, randomId } from '../openai/response-headers.ts';
import { readWithin } from '../bytes/read-within.ts';
import { normaliseError, readErrorText } from './normalise-error.ts';
import { NearsightError } from '../protocol/errors.ts';
import type { ConsentRequest, RemoteOptions } from './remote-options.ts';

/** The client's request. */
export interface RemoteRequest {
  url: URL;
  headers: Headers;
  body: Record<string, unknown>;
  /** As the client named it; the response repeats it. */
  model: string;
  /** How many images the request carries. */
  images: number;
  fetch: typeof globalThis.fetch;
  signal: AbortSignal | undefined;
}

/** What is asked of the remote. */
export interface RemoteTarget {
  /** Its address. */
  base: URL;
  /** The model by its name there; absent: the client named one that only this page serves. */
  model: string | undefined;
  /** Why the remote is asked: a policy or an error code. */
  reason: string;
  /** Makes a `data:` URL of a `blob:` one. */
  inline: (url: string, param: string) => Promise<string>;
}

/** Vision models that are served at `/vlm/{model}` and know images as `<img>` tags only. */
const LEGACY =
  /^(adept\/fuyu-8b|community\/llava16-[\w-]+|google\/(deplot|paligemma)|microsoft\/(kosmos-2|phi-3-vision[\w-]*)|nvidia\/(neva-22b|vila))$/;

/** Models that can be part of a path: no `..`, which would send the key to another path. */
const IN_PATH = /^\w[\w.-]*\/\w[\w.-]*$/;

/** Statuses of the gateway that a retry does not change: out of credit, forbidden, unknown model, model retired. */
const PERMANENT = [400, 401, 402, 403, 404, 410, 413, 422];

/**
 * Asks the remote. Its answer is passed on as it comes; its errors keep their status and get our envelope.
 *
 * @returns `unavailable`: whether the remote cannot answer now. False for an answer, and for an error of the request itself
 * @throws NearsightError `remote_unavailable` if it cannot be reached, `consent_refused`, `unsupported_field`,
 *   `model_not_found`; or the signal's reason
 */
export async function askRemote(
  remote: RemoteOptions,
  request: RemoteRequest,
  { base, model, reason, inline }: RemoteTarget,
): Promise<{ response: Response; unavailable: boolean }> {
  if (!model) throw unknown(`'${request.model}'. Name a model of its own in remote.model`);
  const dialect = remote.dialect ?? (LEGACY.test(model) ? 'legacy' : 'hosted');
  if (dialect === 'legacy' && !IN_PATH.test(model)) throw unknown('a model of that name, which cannot be in a path');
  const url = below(base, dialect === 'legacy' ? `vlm/${model}` : 'chat/completions');
  request.signal?.throwIfAborted();
  // First: nobody should consent to a request that cannot be sent.
  const body = await toDialect({ ...request.body, model }, dialect, inline);
  await askConsent(remote, { model: request.model, images: request.images, reason, url: url.href });
  // The client's own key goes to its own origin only.
  const own = request.url.origin === base.origin ? request.headers.get('authorization') : null;
  const authorization = (await bearer(remote)) ?? own;
  const init: RequestInit = {
    method: 'POST',
    headers: {
      accept: isStreamed(request) ? 'text/event-stream' : 'application/json',
      'content-type': 'application/json',
      ...(authorization && { authorization }),
    },
    body: JSON.stringify(body),
    credentials: remote.credentials ?? 'omit',
    // A redirect could carry the request, and in old browsers the key, to another origin.
    redirect: 'error',
    // The page's address may say what the visitor looks at.
    referrerPolicy: 'no-referrer',
    signal: request.signal ?? null,
  };
  // Neither the consent nor the key need listen to the signal.
  request.signal?.throwIfAborted();
  const first = await follow(request, url, base, init);
  const response = first.ok && isStreamed(request) ? await awaitContent(first, request.signal) : first;
  const headers = headersOf(response, model, reason);
  if (response.ok) return { response: await passOn(request, model, response, headers), unavailable: false };
  const isUnavailable = response.status >= 500 || response.status === 429 || isNotFromApi(response);
  return { response: await passError(response, headers, url, authorization), unavailable: isUnavailable };
}

function isStreamed({ body }: RemoteRequest): boolean {
  return body['stream'] === true;
}

/**
 * A 404 that is not JSON comes from a gateway or web server (unknown model or path, as where the proxy is not mounted), not
 * from a NIM.
 */
function isNotFromApi({ status, headers }: Response): boolean {
  return status === 404 && !headers.get('content-type')?.includes('json');
}

async function askConsent({ consent }: RemoteOptions, request: ConsentRequest): Promise<void> {
  if (request.images === 0 || !consent) return;
  // Untyped, because JavaScript may return anything: only true is a yes.
  let answer: unknown;
  try {
    answer = await consent(request);
  } catch (cause) {
    const message = `remote.consent failed, so nothing was sent: ${String(cause)}`;
    throw new NearsightError('consent_refused', message, { cause });
  }
  if (answer === true) return;
  throw new NearsightError('consent_refused', 'remote.consent did not return true, so nothing was sent.');
}

async function bearer({ apiKey }: RemoteOptions): Promise<string | undefined> {
  try {
    // A file often ends with a line end, which a header does not send.
    const key = (typeof apiKey === 'function' ? await apiKey() : apiKey)?.trim();
    return key ? `Bearer ${key}` : undefined;
  } catch (cause) {
    const message = `remote.apiKey failed, so nothing was sent: ${String(cause)}`;
    throw new NearsightError('remote_unavailable', message, { cause });
  }
}

/** Sends the request and polls while NVCF answers 202: the request is in its queue. */
async function follow(request: RemoteRequest, url: URL, base: URL, init: RequestInit): Promise<Response> {
  let response = await send(request, url, init);
  const end = Date.now() + QUEUE_MS;
  while (response.status === 202) {
    const id = response.headers.get('nvcf-reqid') ?? '';
    await response.body?.cancel();
    if (Date.now() > end) throw unavailable(url, 'the request was still in its queue after ten minutes');
    if (!/^[\w-]+$/.test(id)) throw unavailable(url, 'it answered 202 without an id to ask for');
    await race(new Promise((resolve) => setTimeout(resolve, POLL_MS)), request.signal);
    const { body: _, method: __, ...rest } = init;
    response = await send(request, below(base, `status/${id}`), rest);
  }
  return response;
}

/** How long a request may be queued: a caller without a signal must not wait for ever. */
const QUEUE_MS = 600_000;

/** The status route itself waits until something changes or it times out. This is a minimum between two requests. */
const POLL_MS = 250;

async function send({ fetch, signal }: RemoteRequest, url: URL, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url.href, init);
  } catch (cause) {
    signal?.throwIfAborted();
    const nvidia = /(^|\.)nvidia\.com$/.test(url.hostname);
    const why = nvidia
      ? "NVIDIA's servers do not let web pages call them (CORS): a server of yours must pass requests on, see nearsight/proxy"
      : 'it is down, does not allow this page to call it (CORS), or connect-src forbids it';
    throw unavailable(url, why, cause);
  }
}

/** The headers of a remote's response that clients use. */
const PASSED_HEADERS = ['content-type', 'cache-control', 'retry-after', 'retry-after-ms', 'nvcf-reqid', 'nvcf-status'];

/** The passed headers, and who answered. */
function headersOf({ headers }: Response, model: string, reason: string): Headers {
  return new Headers({
    ...Object.fromEntries([...headers].filter(([name]) => PASSED_HEADERS.includes(name))),
    'x-request-id': headers.get('x-request-id') ?? headers.get('nvcf-reqid') ?? randomId(),
    'x-nearsight-origin': 'remote',
    'x-nearsight-reason': reason,
    'x-nearsight-model': headerText(model),
  });
}

async function passOn(request: RemoteRequest, asked: string, response: Response, headers: Headers): Promise<Response> {
  const { signal } = request;
  const model = asked === request.model ? undefined : request.model;
  const init = { status: response.status, statusText: response.statusText || 'OK', headers };
  if (isStreamed(request)) {
    if (!response.body) throw unusable('is empty');
    headers.set('content-type', 'text/event-stream');
    return new Response(relayEvents(response.body, model, signal), init);
  }
  const text = await readAnswer(response, signal);
  // SDKs hand out the raw string unless the type says JSON.
  headers.set('content-type', 'application/json');
  const body = parseAnswer(text);
  return new Response(model === undefined ? text : JSON.stringify({ ...body, model }), init);
}

/** A portal or an application answers with its page, and 200, to any path. */
function parseAnswer(text: string): object {
  let cause: unknown;
  try {
    const body: unknown = JSON.parse(text);
    if (isObject(body)) return body;
  } catch (error) {
    cause = error;
  }
  throw unusable('is not a JSON object', cause);
}

/** Reads the whole answer: once its status is passed on, a broken connection could not become an error. */
async function readAnswer(response: Response, signal: AbortSignal | undefined): Promise<string> {
  const bytes = await readWithin(response.body, MAX_ANSWER_BYTES).catch((cause: unknown) => {
    signal?.throwIfAborted();
    throw unusable('broke off', cause);
  });
  if (!bytes) throw unusable(`has more than ${MAX_ANSWER_BYTES} bytes`);
  return new TextDecoder().decode(bytes);
}

/** Maximum bytes of an answer that is not streamed: some ten thousand tokens with twenty alternatives each. */
const MAX_ANSWER_BYTES = 32 * 1024 * 1024;

async function passError(response: Response, headers: Headers, url: URL, key: string | null): Promise<Response> {
  const { status } = response;
  const text = await readErrorText(response);
  // A server may quote the key that it was sent.
  const secret = key?.replace(/^Bearer /, '');
  const clean = secret ? text.replaceAll(secret, '[key]') : text;
  headers.set('content-type', 'application/json');
  if (PERMANENT.includes(status)) headers.set('x-should-retry', 'false');
  if ([429, 503, 529].includes(status) && !headers.has('retry-after') && !headers.has('retry-after-ms')) {
    // The free tier allows 40 requests a minute and never says when the next is allowed.
    headers.set('retry-after-ms', String(Math.round(1500 + 500 * Math.random())));
    headers.set('retry-after', '2');
  }
  const body = normaliseError(status, response.statusText, clean);
  if (isNotFromApi(response)) {
    body.error.message += ` (POST ${url.href}: check remote.baseURL, and the name of the model there)`;
  }
  return new Response(JSON.stringify(body), { status, statusText: response.statusText || `Status ${status}`, headers });
}

function unknown(what: string): NearsightError {
  return new NearsightError('model_not_found', `The remote does not know ${what}.`, { param: 'model' });
}

function unavailable(url: URL, why: string, cause?: unknown): NearsightError {
  return new NearsightError('remote_unavailable', `The remote at ${url.origin} could not be asked: ${why}.`, { cause });
}

function below(base: URL, path: string): URL {
  const url = new URL(base);
  url.pathname = `${url.pathname.replace(/\/*$/, '')}/${path}`;
  return url;
}
