import { retryAfterOf, RetryableFailure } from '../../src/async/retry.ts';
import { NearsightError } from '../../src/protocol/errors.ts';
import type { ModelFile } from '../../src/protocol/model-spec.ts';

/** The server cannot serve ranges of one and the same file. */
export class NoRanges extends Error {}

/** An answer, and its body. */
export interface FileResponse {
  response: Response;
  body: ReadableStream<Uint8Array>;
}

/**
 * Requests a file, or some bytes of it.
 *
 * @param change such as a range
 * @throws RetryableFailure if the network fails, or the server is busy; NearsightError `load_failed` for another status or a
 *   web page; {@link NoRanges} if the range is refused; the signal's reason
 */
export async function fetchFile(file: ModelFile, signal: AbortSignal, change: RequestInit = {}): Promise<FileResponse> {
  const url = String(file.url);
  // Weights are public, so the server gets neither the page's cookies nor its address.
  const init: RequestInit = { signal, credentials: 'omit', referrerPolicy: 'no-referrer', ...change };
  const response = await fetch(url, init).catch((cause: unknown) => {
    signal.throwIfAborted();
    const message =
      `Could not fetch ${url}: the network failed, or the server does not allow this origin (CORS) or this page's ` +
      `Content-Security-Policy does not allow the server (connect-src).`;
    throw new RetryableFailure(new NearsightError('load_failed', message, { cause }));
  });
  const { body, status, headers } = response;
  const page = isPage(response, file);
  if (response.ok && body && !page) return { response, body };
  void body?.cancel();
  if (status === 416) throw new NoRanges();
  const got = response.ok && page ? 'a web page in place of the file' : response.statusText;
  const error = new NearsightError('load_failed', `Could not fetch ${url}: HTTP ${status} ${got}.`);
  if (status === 408 || status === 429 || status >= 500) throw new RetryableFailure(error, retryAfterOf(headers));
  throw error;
}

/** Many servers answer with the application's page, and 200, for a file that they do not have. Others give all files that type. */
function isPage({ headers, status }: Response, file: ModelFile): boolean {
  if (!/^text\/html\b/i.test(headers.get('content-type') ?? '')) return false;
  return status !== 206 && Number(headers.get('content-length')) !== file.bytes;
}

/** The error for a file that has another length than its spec says. */
export function sizeError({ path, bytes }: ModelFile, received: string): NearsightError {
  const why = 'the download was cut short, or the server holds another version';
  const message = `${path} should have ${bytes} bytes, got ${received}. It was not used: ${why}.`;
  return new NearsightError('integrity', message);
}

/** The error for a file that has another hash than its spec says. */
export function hashError({ path, sha256 }: ModelFile, digest: string): NearsightError {
  const message = `${path} has sha256 ${digest}, but the model's spec says ${sha256}. It was not used.`;
  return new NearsightError('integrity', message);
}

/** The error for a connection that broke off. */
export function cutError({ path, url, bytes }: ModelFile, received: number, cause: unknown): NearsightError {
  const got = `the connection to ${String(url)} failed after ${received} of ${bytes} bytes`;
  const why = cause instanceof Error ? cause.message : String(cause);
  return new NearsightError('load_failed', `${path} is incomplete: ${got}: ${why.replace(/\.$/, '')}.`, { cause });
}
