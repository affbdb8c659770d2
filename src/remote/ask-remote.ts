import { race } from '../async/race.ts';
import { toDialect, type DialectName } from './dialects.ts';
import { isObject } from '../openai/field-checks.ts';
import { headerText, randomId } from '../openai/response-headers.ts';
import { readWithin } from '../bytes/read-within.ts';
import { normaliseError, readErrorText } from './normalise-error.ts';
import { NearsightError } from '../protocol/errors.ts';

/** One NIM endpoint, and what may go there. */
export interface RemoteOptions {
  /** Where it is, up to `/chat/completions`: `/nim` (a proxy of the page's own) or `http://localhost:8000/v1`. */
  baseURL: string | URL;
  /**
   * Its key, or how to get one. It is sent to this address only. A page's visitors can read it: give pages a proxy.
   * @defaultValue none; a client's own key is sent on only where the client meant to send it, to the same origin
   */
  apiKey?: string | (() => string | Promise<string>) | undefined;
  /**
   * What it takes: `nim1` (vision containers 1.x), `nim2` (vLLM), `hosted` (NVIDIA's catalogue), or `legacy`.
   * @defaultValue 'hosted', the strictest but one; models that only exist at a path of their own are `legacy` by name
   */
  dialect?: DialectName | undefined;
  /** The model to ask there when a request names a local one. @defaultValue none, such a request stays here */
  model?: string | undefined;
  /**
   * Asked before an image leaves the device; anything but true answers the request with 403 `consent_refused`.
   * @defaultValue nobody is asked
   */
  consent?: ((request: ConsentRequest) => boolean | Promise<boolean>) | undefined;
  /** Whether cookies go along, for a proxy with a session. @defaultValue 'omit' */
  credentials?: RequestCredentials | undefined;
}

/** What is about to leave. */
export interface ConsentRequest {
  model: string;
  images: number;
  /** Why it cannot stay: a policy or an error code. */
  reason: string;
  /** The address that it would go to. */
  url: string;
}

/** A request on its way out. */
export interface RemoteCall {
  /** As the client wrote it. */
  body: Record<string, unknown>;
  /** The model as the client named it; the response repeats it. */
  model: string;
  /** Whether that is a model of ours, of which the remote has not heard. */
  local: boolean;
  images: number;
  reason: string;
  /** The client's own, and where it addressed the request. */
  authorization: string | null;
  addressed: URL;
  /** The `fetch` that the shim wraps. */
  fetch: typeof globalThis.fetch;
  /** Makes a `data:` URL of a `blob:` one. */
  inline: (url: string, param: string) => Promise<string>;
  signal?: AbortSignal | undefined;
}

/** What came back. */
export interface RemoteAnswer {
  response: Response;
  /** Whether it says that nobody there can answer now, rather than what is wrong with the request. */
  unavailable: boolean;
}

/** Vision models that are served at `/vlm/{model}` and know images as `<img>` tags only. */
const LEGACY =
  /^(adept\/fuyu-8b|community\/llava16-[\w-]+|google\/(deplot|paligemma)|microsoft\/(kosmos-2|phi-3-vision[\w-]*)|nvidia\/(neva-22b|vila))$/;

/** What can be a part of an address: no `..`, which would lead the key to another one. */
const IN_PATH = /^\w[\w.-]*\/\w[\w.-]*$/;

/** Refused for good by the gateway: no credit, no right, no such model, end of life. */
const PERMANENT = [400, 401, 402, 403, 404, 410, 413, 422];

/**
 * Asks the remote. Its answer is passed on as it comes; its errors keep their status and get our envelope.
 *
 * @throws NearsightError `remote_unavailable` if it cannot be reached, `consent_refused`, `unsupported_field`,
 *   `model_not_found`; or the signal's reason
 */
export async function askRemote(remote: RemoteOptions, call: RemoteCall): Promise<RemoteAnswer> {
  const model = call.local ? remote.model : call.model;
  if (!model) throw unknown(`'${call.model}'. Name a model of its own in remote.model`);
  const base = new URL(remote.baseURL, globalThis.document?.baseURI ?? globalThis.location?.href);
  const dialect = remote.dialect ?? (LEGACY.test(model) ? 'legacy' : 'hosted');
  if (dialect === 'legacy' && !IN_PATH.test(model)) throw unknown('a model of that name, which cannot be in a path');
  const url = below(base, dialect === 'legacy' ? `vlm/${model}` : 'chat/completions');
  await askConsent(remote, call, url);
  const body = await toDialect({ ...call.body, model }, dialect, call.inline);
  const key = await authorization(remote, call, base);
  const stream = body['stream'] === true;
  const init: RequestInit = {
    method: 'POST',
    headers: { accept: stream ? 'text/event-stream' : 'application/json', 'content-type': 'application/json', ...key },
    body: JSON.stringify(body),
    credentials: remote.credentials ?? 'omit',
    // A redirect could carry the request, and in old browsers the key, to another origin.
    redirect: 'error',
    signal: call.signal ?? null,
  };
  const relay = stream ? await importRelay() : undefined;
  const response = await follow(call, url, base, init);
  const renamed = model === call.model ? undefined : call.model;
  const headers = headersOf(response, model, call.reason);
  if (response.ok) return { response: await passOn(response, headers, call, relay, renamed), unavailable: false };
  const down = response.status >= 500 || response.status === 429 || isStray(response);
  return { response: await passError(response, headers, url, key.authorization), unavailable: down };
}

/**
 * A 404 that is no JSON: what the gateway says of a model that it does not know, and what a server says that has no such
 * path at all, as where the proxy was not mounted.
 */
function isStray({ status, headers }: Response): boolean {
  return status === 404 && !headers.get('content-type')?.includes('json');
}

async function askConsent(remote: RemoteOptions, { model, images, reason }: RemoteCall, url: URL): Promise<void> {
  if (images === 0 || !remote.consent) return;
  const request = { model, images, reason, url: url.href };
  // Whatever JavaScript answers: only true is a yes.
  let answer: unknown;
  try {
    answer = await remote.consent(request);
  } catch (cause) {
    throw new NearsightError('consent_refused', `remote.consent failed, so nothing was sent: ${String(cause)}`, {
      cause,
    });
  }
  if (answer === true) return;
  throw new NearsightError('consent_refused', 'The image was not allowed to leave this device.');
}

async function authorization(remote: RemoteOptions, call: RemoteCall, base: URL): Promise<{ authorization?: string }> {
  let key: string | undefined;
  try {
    key = typeof remote.apiKey === 'function' ? await remote.apiKey() : remote.apiKey;
  } catch (cause) {
    const message = `remote.apiKey failed, so nothing was sent: ${String(cause)}`;
    throw new NearsightError('remote_unavailable', message, { cause });
  }
  if (key) return { authorization: `Bearer ${key}` };
  return call.authorization && call.addressed.origin === base.origin ? { authorization: call.authorization } : {};
}

/** Sends the request and waits out 202s: NVCF answers those while a request is still in its queue. */
async function follow(call: RemoteCall, url: URL, base: URL, init: RequestInit): Promise<Response> {
  let response = await send(call, url, init);
  const end = Date.now() + QUEUE_MS;
  while (response.status === 202) {
    const id = response.headers.get('nvcf-reqid') ?? '';
    await response.body?.cancel();
    if (Date.now() > end) throw unavailable(url, 'it had not begun with the request after ten minutes');
    if (!/^[\w-]+$/.test(id)) throw unavailable(url, 'it answered 202 without an id to ask for');
    await race(new Promise((resolve) => setTimeout(resolve, POLL_MS)), call.signal);
    const { body: _, method: __, ...rest } = init;
    response = await send(call, below(base, `status/${id}`), rest);
  }
  return response;
}

/** A caller without a signal shall not wait for ever. */
const QUEUE_MS = 600_000;

/** The status route answers only when there is news or after its own time-out; this only spaces the exceptions. */
const POLL_MS = 250;

async function send({ fetch, signal }: RemoteCall, url: URL, init: RequestInit): Promise<Response> {
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

/** The headers of a remote's response that mean something to a client, and who answered. */
function headersOf(response: Response, model: string, reason: string): Headers {
  const headers = new Headers({
    'x-nearsight-origin': 'remote',
    'x-nearsight-reason': reason,
    'x-nearsight-model': headerText(model),
  });
  for (const name of ['content-type', 'cache-control', 'retry-after', 'retry-after-ms', 'nvcf-reqid', 'nvcf-status']) {
    const value = response.headers.get(name);
    if (value !== null) headers.set(name, value);
  }
  headers.set('x-request-id', response.headers.get('x-request-id') ?? headers.get('nvcf-reqid') ?? randomId());
  return headers;
}

async function passOn(
  response: Response,
  headers: Headers,
  { signal }: RemoteCall,
  relay: Relay | undefined,
  model?: string,
): Promise<Response> {
  const init = { status: response.status, statusText: response.statusText || 'OK', headers };
  if (relay) {
    if (!response.body) throw unusable('is empty');
    headers.set('content-type', 'text/event-stream');
    return new Response(relay.relayEvents(response.body, model, signal), init);
  }
  const text = await readAnswer(response, signal);
  // SDKs hand out the raw string unless the type says JSON.
  headers.set('content-type', 'application/json');
  if (model === undefined) return new Response(text, init);
  try {
    const body: unknown = JSON.parse(text);
    return new Response(isObject(body) ? JSON.stringify({ ...body, model }) : text, init);
  } catch (cause) {
    throw unusable('is not JSON', cause);
  }
}

/** A whole answer, because its status is a promise that cannot be taken back when the connection breaks off. */
async function readAnswer(response: Response, signal: AbortSignal | undefined): Promise<string> {
  let bytes: Uint8Array | undefined;
  try {
    bytes = await readWithin(response.body, ANSWER_BYTES);
  } catch (cause) {
    signal?.throwIfAborted();
    throw unusable('broke off', cause);
  }
  if (!bytes) throw unusable(`has more than ${ANSWER_BYTES} bytes`);
  return new TextDecoder().decode(bytes);
}

/** Most bytes of an answer that is not streamed: some ten thousand tokens with twenty alternatives each. */
const ANSWER_BYTES = 32 * 1024 * 1024;

type Relay = typeof import('./relay.ts');

/** A file of its own: few requests are streamed from a remote. Fetched before anything is sent. */
async function importRelay(): Promise<Relay> {
  try {
    return await import('./relay.ts');
  } catch (cause) {
    const message = 'A file of nearsight that streams from a remote could not be loaded, so nothing was sent.';
    throw new NearsightError('remote_unavailable', message, { cause });
  }
}

async function passError(response: Response, headers: Headers, url: URL, key: string | undefined): Promise<Response> {
  const { status } = response;
  const text = await readErrorText(response);
  // A server may quote what it was sent.
  const secret = key?.replace(/^Bearer /, '');
  const clean = secret ? text.replaceAll(secret, '[key]') : text;
  headers.set('content-type', 'application/json');
  if (PERMANENT.includes(status)) headers.set('x-should-retry', 'false');
  if ([429, 503, 529].includes(status) && !headers.has('retry-after') && !headers.has('retry-after-ms')) {
    // The free tier allows 40 requests a minute and never says when the next may come.
    headers.set('retry-after-ms', String(Math.round(1500 + 500 * Math.random())));
    headers.set('retry-after', '2');
  }
  const body = normaliseError(status, response.statusText, clean);
  if (isStray(response)) {
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

function unusable(what: string, cause?: unknown): NearsightError {
  return new NearsightError('remote_unavailable', `The remote's answer ${what}.`, { cause });
}

function below(base: URL, path: string): URL {
  return new URL(`${base.href.replace(/\/*$/, '')}/${path}`);
}
