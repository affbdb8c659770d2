import { Retries, RetryableFailure } from '../../src/async/retry.ts';
import { readWithin } from '../../src/bytes/read-within.ts';
import { asNearsightError, isNearsightError, NearsightError } from '../../src/protocol/errors.ts';
import { refusal } from './refusal.ts';

export type Bytes = Uint8Array<ArrayBuffer>;

/** How the hub is reached. */
export interface HubAccess {
  /** @defaultValue the global one */
  fetch?: typeof fetch | undefined;
  /** How long nothing may come, in milliseconds. @defaultValue 30,000 */
  timeout?: number | undefined;
  signal: AbortSignal;
}

export interface Fetched {
  bytes: Bytes;
  headers: Headers;
}

/** How often a server may be busy until the request fails. */
const MAX_FAILURES = 3;

/** A server that asks to wait longer is not waited for. */
const MAX_WAIT_MS = 5_000;

/**
 * Fetches at most `limit` bytes. A server that is busy is asked again.
 *
 * @throws NearsightError `load_failed` for a network failure, an HTTP status, a web page in place of the file, a longer body
 *   or one that stops; or the signal's reason
 */
export async function fetchBytes(url: string, limit: number, access: HubAccess): Promise<Fetched> {
  return new Retries(MAX_FAILURES, MAX_WAIT_MS).run(() => fetchOnce(url, limit, access), access.signal);
}

async function fetchOnce(url: string, limit: number, access: HubAccess): Promise<Fetched> {
  const { signal, timeout = 30_000 } = access;
  const stalled = new AbortController();
  const stall = (): void => stalled.abort();
  let timer = setTimeout(stall, timeout);
  const beating = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      clearTimeout(timer);
      timer = setTimeout(stall, timeout);
      controller.enqueue(chunk);
    },
  });
  const init: RequestInit = {
    signal: AbortSignal.any([signal, stalled.signal]),
    // What is public needs neither the page's cookies nor its address.
    credentials: 'omit',
    referrerPolicy: 'no-referrer',
  };
  try {
    const response = await (access.fetch ?? fetch)(url, init);
    if (!response.ok) {
      void response.body?.cancel();
      throw refusal(url, response, hintOf(response));
    }
    // Captive portals answer with their own page, and 200.
    if (/^text\/html\b/i.test(response.headers.get('content-type') ?? '')) {
      void response.body?.cancel();
      throw new NearsightError(
        'load_failed',
        `Could not fetch ${url}: the network answered with a web page. Is it a log-in?`,
      );
    }
    const bytes = await readWithin(response.body?.pipeThrough(beating) ?? null, limit);
    if (bytes) return { bytes, headers: response.headers };
    throw new NearsightError(
      'load_failed',
      `${url} has more than the ${limit} bytes that are accepted. It was not used.`,
    );
  } catch (cause) {
    signal.throwIfAborted();
    if (isNearsightError(cause) || cause instanceof RetryableFailure) throw cause;
    const why = stalled.signal.aborted
      ? `nothing came for ${timeout / 1000} s`
      : `${asNearsightError(cause).message}. The network failed, or the server does not allow this origin (CORS), or this ` +
        `page's Content-Security-Policy does not allow the server (connect-src)`;
    throw new NearsightError('load_failed', `Could not fetch ${url}: ${why}.`, { cause });
  } finally {
    clearTimeout(timer);
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

/** What a status means on the hub, where it is known. */
function hintOf({ status, headers }: Response): string | undefined {
  const wait = headers.get('retry-after');
  const hints: Record<number, string> = {
    401: 'The repository does not exist, is private, or wants its terms to be accepted first: only public ones can be used',
    403: 'The repository is private, or wants its terms to be accepted first: only public ones can be used',
    404: 'There is no such repository, revision or file',
    429: `Too many requests: try again ${wait && /^\d+$/.test(wait) ? `in ${wait} s` : 'later'}`,
  };
  return hints[status] ?? (status >= 500 ? 'The server failed: try again later' : undefined);
}
