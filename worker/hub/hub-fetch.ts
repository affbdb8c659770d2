import { readWithin } from '../../src/bytes/read-within.ts';
import { asNearsightError, isNearsightError, NearsightError } from '../../src/protocol/errors.ts';

export type Bytes = Uint8Array<ArrayBuffer>;

/** How the hub is reached. */
export interface HubAccess {
  /** @defaultValue the global one */
  fetch?: typeof fetch | undefined;
  /** For each request, in milliseconds. @defaultValue 30,000 */
  timeout?: number | undefined;
  signal: AbortSignal;
}

export interface Fetched {
  bytes: Bytes;
  headers: Headers;
}

/**
 * Fetches at most `limit` bytes.
 *
 * @throws NearsightError `load_failed` for a network failure, an HTTP status, a web page in place of the file, a longer body
 *   or a late one; or the signal's reason
 */
export async function fetchBytes(url: string, limit: number, access: HubAccess): Promise<Fetched> {
  const { signal, timeout = 30_000 } = access;
  const late = AbortSignal.timeout(timeout);
  const init: RequestInit = {
    signal: AbortSignal.any([signal, late]),
    // What is public needs neither the page's cookies nor its address.
    credentials: 'omit',
    referrerPolicy: 'no-referrer',
  };
  try {
    const response = await (access.fetch ?? fetch)(url, init);
    if (!response.ok) throw refusal(url, response);
    // Captive portals answer with their own page, and 200.
    if (/^text\/html\b/i.test(response.headers.get('content-type') ?? '')) {
      void response.body?.cancel();
      throw new NearsightError(
        'load_failed',
        `Could not fetch ${url}: the network answered with a web page. Is it a log-in?`,
      );
    }
    const bytes = await readWithin(response.body, limit);
    if (bytes) return { bytes, headers: response.headers };
    throw new NearsightError(
      'load_failed',
      `${url} has more than the ${limit} bytes that are accepted. It was not used.`,
    );
  } catch (cause) {
    signal.throwIfAborted();
    if (isNearsightError(cause)) throw cause;
    const why = late.aborted
      ? `no answer within ${timeout / 1000} s`
      : `${asNearsightError(cause).message}. The network failed, or the server does not allow this origin (CORS), or this ` +
        `page's Content-Security-Policy does not allow the server (connect-src)`;
    throw new NearsightError('load_failed', `Could not fetch ${url}: ${why}.`, { cause });
  }
}

/** Fetches JSON; see {@link fetchBytes}. */
export async function fetchJSON(url: string, limit: number, access: HubAccess) {
  const { bytes, headers } = await fetchBytes(url, limit, access);
  return { json: parseJSON(bytes, url), headers };
}

/** @throws NearsightError `load_failed` naming what is not JSON */
export function parseJSON(bytes: Uint8Array, name: string): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new NearsightError('load_failed', `${name} is not JSON.`, { cause });
  }
}

function refusal(url: string, response: Response): NearsightError {
  void response.body?.cancel();
  const { status } = response;
  const wait = response.headers.get('retry-after');
  const hints: Record<number, string> = {
    401: 'The repository does not exist, is private, or wants its terms to be accepted first: only public ones can be used',
    403: 'The repository is private, or wants its terms to be accepted first: only public ones can be used',
    404: 'There is no such repository, revision or file',
    429: `Too many requests: try again ${wait && /^\d+$/.test(wait) ? `in ${wait} s` : 'later'}`,
  };
  const hint = hints[status] ?? (status >= 500 ? 'The server failed: try again later' : response.statusText);
  return new NearsightError('load_failed', `Could not fetch ${url}: HTTP ${status}. ${hint}.`);
}
