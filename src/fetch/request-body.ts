import { NearsightError } from '../protocol/errors.ts';
import { readWithin } from '../bytes/read-within.ts';

/** A body of any kind that `fetch` accepts. */
export interface Body {
  /** A string body. Not read through a Response: Firefox reads those in any order, and requests must be answered in order. */
  text: string | undefined;
  /** Any other body; undefined if it has more bytes than the limit, and rejected if it cannot be read. */
  bytes: Promise<Uint8Array | undefined> | undefined;
  contentType: string | null;
  contentEncoding: string | null;
}

/**
 * The body of a call to `fetch`, by its rules: `init` overrides the Request, whose body is used from now on.
 *
 * @param limit maximum bytes
 * @param signal cancels a stream that is being read
 * @throws TypeError as `fetch` does, if the body has been read or is being read already
 */
export function openBody(
  request: Request | undefined,
  init: RequestInit | undefined,
  headers: Headers,
  limit: number,
  signal: AbortSignal | undefined,
): Body {
  // A Response, because Firefox has no streams in the body of a Request.
  const text = typeof init?.body === 'string' ? init.body : undefined;
  const source = init?.body == null ? request : text === undefined ? new Response(init.body) : undefined;
  if (source?.bodyUsed || source?.body?.locked) {
    throw new TypeError('The body of this Request has been used already. Make a new Request, or pass a clone().');
  }
  const bytes = text === undefined ? readBytes(source, limit, signal) : undefined;
  // Nobody waits for it if there is nothing at the path.
  bytes?.catch(() => {});
  const contentType = headers.get('content-type') ?? source?.headers.get('content-type') ?? null;
  return { text, bytes, contentType, contentEncoding: headers.get('content-encoding') };
}

/**
 * Reads a body as JSON.
 *
 * @param limit maximum bytes
 * @throws NearsightError `unsupported_media_type`, `request_too_large`, or `invalid_request` for anything but JSON
 */
export async function readJson(body: Body, limit: number): Promise<unknown> {
  const { text, contentType } = body;
  const encoding = body.contentEncoding?.trim() || 'identity';
  if (encoding.toLowerCase() !== 'identity') {
    const message = `The body must not be compressed, but its content-encoding is ${encoding.slice(0, 80)}.`;
    throw new NearsightError('unsupported_media_type', message, { param: 'content-encoding' });
  }
  // Browsers send a string without a content type as text/plain, so that is accepted.
  const type = contentType?.split(';')[0]?.trim().toLowerCase() ?? '';
  if (type !== '' && type !== 'text/plain' && type !== 'application/json' && !type.endsWith('+json')) {
    const message = `The body must be application/json, but its content-type is ${type.slice(0, 80)}.`;
    throw new NearsightError('unsupported_media_type', message, { param: 'content-type' });
  }
  const bytes = await body.bytes;
  const size = text === undefined ? (bytes?.byteLength ?? Infinity) : utf8Bytes(text, limit);
  if (size > limit) {
    const message = `The body has more than ${limit} bytes (limits.requestBytes). Send fewer or smaller images.`;
    throw new NearsightError('request_too_large', message);
  }
  try {
    return JSON.parse(text ?? new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)) as unknown;
  } catch (cause) {
    const message = size === 0 ? 'The request has no body.' : 'The body is not valid JSON in UTF-8.';
    throw new NearsightError('invalid_request', message, { cause });
  }
}

/** The size of a text in UTF-8, or an upper bound if that is within the limit: counting takes time. */
function utf8Bytes(text: string, limit: number): number {
  const bound = text.length * 3;
  return bound <= limit ? bound : new Blob([text]).size;
}

/** @returns undefined if there are more than the limit */
async function readBytes(
  source: Request | Response | undefined,
  limit: number,
  signal?: AbortSignal,
): Promise<Uint8Array | undefined> {
  try {
    // Firefox has no stream in the body of a Request.
    if (source && !source.body) return new Uint8Array(await source.arrayBuffer());
    const body = source?.body ?? null;
    return await readWithin(body && signal ? body.pipeThrough(new TransformStream(), { signal }) : body, limit);
  } catch (cause) {
    throw new NearsightError('invalid_request', `The body could not be read: ${String(cause)}`, { cause });
  }
}
