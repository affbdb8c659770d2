import { NearsightError } from '../protocol/errors.ts';
import { readWithin } from '../bytes/read-within.ts';

/** An unread body of any kind that `fetch` accepts. */
export interface Body {
  /** A string body. Not read through a Response: Firefox reads those in any order, and requests must be answered in order. */
  text: string | undefined;
  source: Request | Response | undefined;
  contentType: string | null;
}

/**
 * The body of a call to `fetch`, by its rules: `init` overrides the Request.
 *
 * @throws TypeError as `fetch` does, if the body has been read already
 */
export function openBody(request: Request | undefined, init: RequestInit | undefined, headers: Headers): Body {
  // A Response, because Firefox has no streams in the body of a Request.
  const text = typeof init?.body === 'string' ? init.body : undefined;
  const source = text === undefined && init?.body != null ? new Response(init.body) : request;
  if (source?.bodyUsed) throw new TypeError('The body of this Request has already been read.');
  return { text, source, contentType: headers.get('content-type') ?? source?.headers.get('content-type') ?? null };
}

/**
 * Reads a body as JSON.
 *
 * @param limit maximum bytes
 * @throws NearsightError `unsupported_media_type`, `request_too_large`, or `invalid_request` for anything but JSON
 */
export async function readJson({ text, source, contentType }: Body, limit: number): Promise<unknown> {
  // Browsers send a string without a content type as text/plain, so that is accepted.
  const type = contentType?.split(';')[0]?.trim().toLowerCase() ?? '';
  if (type !== '' && type !== 'text/plain' && type !== 'application/json' && !type.endsWith('+json')) {
    const message = `The body must be application/json, but its content type is ${type.slice(0, 80)}.`;
    throw new NearsightError('unsupported_media_type', message);
  }
  const bytes = text === undefined ? await readBytes(source, limit) : undefined;
  const size = text === undefined ? (bytes?.byteLength ?? Infinity) : utf8Bytes(text, limit);
  if (size > limit) {
    const message = `The body has more than ${limit} bytes (limits.requestBytes). Send smaller images.`;
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
async function readBytes(source: Body['source'], limit: number): Promise<Uint8Array | undefined> {
  try {
    // Firefox has no stream in the body of a Request.
    return source && !source.body
      ? new Uint8Array(await source.arrayBuffer())
      : await readWithin(source?.body ?? null, limit);
  } catch (cause) {
    throw new NearsightError('invalid_request', 'The body could not be read.', { cause });
  }
}
