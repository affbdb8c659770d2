import { Retries, RetryableFailure } from '../../src/async/retry.ts';
import { settledWithin } from '../../src/async/settled-within.ts';
import { NearsightError } from '../../src/protocol/errors.ts';
import type { ModelFile } from '../../src/protocol/model-spec.ts';
import { refusal } from '../hub/refusal.ts';

/** A connection from which nothing comes for so long is replaced. */
const STALL_MS = 15_000;

/** The same for the first answer. A request also waits for one of the browser's six HTTP/1.1 connections to a host. */
const ANSWER_MS = 30_000;

/** Failures in a row after which a download ends. */
const MAX_FAILURES = 6;

/** A server that asks to wait longer is not waited for. */
const MAX_WAIT_MS = 60_000;

/** How attempts to download are repeated. */
export const newRetries = (): Retries => new Retries(MAX_FAILURES, MAX_WAIT_MS);

/** The server cannot serve ranges of one and the same file. */
export class NoRanges extends Error {}

/** An answer, and its body. */
export interface FileResponse {
  response: Response;
  body: ReadableStream<Uint8Array>;
}

/** Ends the connections that `use` makes, whatever happens, also where it stops reading in the middle. */
export async function withConnection<T>(signal: AbortSignal, use: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const ended = new AbortController();
  try {
    return await use(AbortSignal.any([signal, ended.signal]));
  } finally {
    ended.abort();
  }
}

/**
 * Requests a file, or some bytes of it.
 *
 * @param signal ends the connection: see {@link withConnection}
 * @param change such as a range
 * @throws RetryableFailure if the network fails, or the server is busy or silent; NearsightError `load_failed` for another
 *   status or a web page; {@link NoRanges} if the range is refused; the signal's reason
 */
export async function fetchFile(file: ModelFile, signal: AbortSignal, change: RequestInit = {}): Promise<FileResponse> {
  const url = String(file.url);
  // Weights are public, so the server gets neither the page's cookies nor its address.
  const init: RequestInit = { signal, credentials: 'omit', referrerPolicy: 'no-referrer', ...change };
  const asked = fetch(url, init).catch((cause: unknown) => {
    signal.throwIfAborted();
    const message =
      `Could not fetch ${url}: the network failed, or the server does not allow this origin (CORS) or this page's ` +
      `Content-Security-Policy does not allow the server (connect-src).`;
    throw new RetryableFailure(new NearsightError('load_failed', message, { cause }));
  });
  const response = await timely(ANSWER_MS, asked, file, 0);
  const { ok, body, status } = response;
  const page = isPage(response, file);
  if (ok && body && !page) return { response, body };
  void body?.cancel();
  if (status === 416) throw new NoRanges();
  throw refusal(url, response, ok && page ? 'It is a web page in place of the file' : undefined);
}

/** Many servers answer with the application's page, and 200, for a file that they do not have. Others give all files that type. */
function isPage({ headers, status }: Response, file: ModelFile): boolean {
  if (!/^text\/html\b/i.test(headers.get('content-type') ?? '')) return false;
  return status !== 206 && Number(headers.get('content-length')) !== file.bytes;
}

/**
 * The next bytes of a body of which `at` have come.
 *
 * @throws RetryableFailure if the connection breaks off, or nothing comes; the signal's reason
 */
export async function readNext(
  file: ModelFile,
  reader: ReadableStreamDefaultReader<Uint8Array>,
  at: number,
  signal: AbortSignal,
): Promise<ReadableStreamReadResult<Uint8Array>> {
  const reading = reader.read().catch((cause: unknown) => {
    signal.throwIfAborted();
    throw new RetryableFailure(cutError(file, at, cause));
  });
  const result = await timely(STALL_MS, reading, file, at);
  // A chunk that arrived before the signal aborted is not counted.
  signal.throwIfAborted();
  return result;
}

async function timely<T>(ms: number, coming: Promise<T>, file: ModelFile, at: number): Promise<T> {
  const result = await settledWithin(ms, coming);
  if (result) return result;
  throw new RetryableFailure(cutError(file, at, `nothing came for ${ms / 1000} s`));
}

/**
 * The error for a body that ended after `at` bytes, without a failure of the connection.
 *
 * @param length the header `content-length` of a whole file. If it promises no more, the server has no more: another request
 *   would bring the same. Of a compressed file it is the compressed length, which is hardly longer
 */
export function endError(file: ModelFile, at: number, length?: string | null): Error {
  if (length !== undefined && Number(length) <= at) return sizeError(file, String(at));
  return new RetryableFailure(cutError(file, at, 'the server ended it'));
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
function cutError({ path, url, bytes }: ModelFile, received: number, cause: unknown): NearsightError {
  const got = `the connection to ${String(url)} failed after ${received} of ${bytes} bytes`;
  const why = cause instanceof Error ? cause.message : String(cause);
  return new NearsightError('load_failed', `${path} is incomplete: ${got}: ${why.replace(/\.$/, '')}.`, { cause });
}
