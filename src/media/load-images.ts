import { readWithin } from '../bytes/read-within.ts';
import type { PictureRef, RequestPart, RequestTurn } from '../openai/messages.ts';
import { readDataURL } from '../bytes/data-url.ts';
import { NearsightError } from '../protocol/errors.ts';
import type { Turn, TurnPart } from '../protocol/job.ts';

/** What may be read. */
export interface PictureRules {
  /** Most bytes in one picture's file. */
  pictureBytes: number;
  /** Most pictures in one request, over all turns. */
  pictures: number;
  /** Which `http:` and `https:` URLs may be fetched; absent: all. With it, redirects are refused: they cannot be asked about. */
  allowed?: ((url: URL) => boolean) | undefined;
}

type Bytes = Uint8Array<ArrayBuffer>;

/**
 * From where pictures may be fetched under a policy: under `local-only` from the page's own origin and those it listed,
 * else from anywhere.
 */
export function allowedUnder(policy: unknown, listed: readonly string[] = []): PictureRules['allowed'] {
  if (policy !== 'local-only') return undefined;
  // As pages write them: with a final slash, or a path.
  const origins = [
    globalThis.location?.origin,
    ...listed.map((each) => new URL(each, globalThis.location?.href).origin),
  ];
  return (url) => origins.includes(url.origin);
}

/**
 * The turns with their pictures' bytes; each URL is fetched once. The worker finds out whether they are pictures.
 *
 * Rejects with a NearsightError `unreadable_image` with the part's `param` and the cause, or with `signal`'s reason.
 *
 * @throws NearsightError `invalid_request` at once for more pictures than may be
 */
export function fetchPictures(
  turns: readonly RequestTurn[],
  rules: PictureRules,
  signal?: AbortSignal,
): Promise<Turn[]> {
  const refs = turns.flatMap(({ parts }) => parts.filter((part) => part.type === 'picture'));
  const extra = refs[rules.pictures];
  if (extra) {
    const message = `The request has ${refs.length} pictures; limits.pictures is ${rules.pictures}.`;
    throw new NearsightError('invalid_request', message, { param: extra.param });
  }
  return readPictures(turns, refs, rules, signal);
}

async function readPictures(
  turns: readonly RequestTurn[],
  refs: readonly PictureRef[],
  rules: PictureRules,
  signal?: AbortSignal,
): Promise<Turn[]> {
  // The first failure ends the other downloads.
  const stop = new AbortController();
  const either = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
  const files = new Map<string, Promise<Bytes>>();
  for (const ref of refs) if (!files.has(ref.url)) files.set(ref.url, readURL(ref, rules, either));
  try {
    await Promise.all(files.values());
  } catch (error) {
    stop.abort(error);
    signal?.throwIfAborted();
    throw error;
  }
  const read = async (part: RequestPart): Promise<TurnPart> => {
    if (part.type === 'text') return part;
    const bytes = (await files.get(part.url)) ?? new Uint8Array();
    return { type: 'picture', bytes, detail: part.detail, param: part.param };
  };
  return Promise.all(turns.map(async ({ role, parts }) => ({ role, parts: await Promise.all(parts.map(read)) })));
}

/**
 * The bytes of one picture in any form a page may have it. A string is a URL, relative to the page.
 *
 * @throws NearsightError `unreadable_image`; or `signal`'s reason
 */
export async function readPicture(
  picture: Blob | BufferSource | string | URL,
  rules: PictureRules,
  signal?: AbortSignal,
): Promise<Bytes> {
  const ref = (url: string): PictureRef => ({ type: 'picture', url, detail: 'auto', param: 'picture' });
  if (typeof picture === 'string' || picture instanceof URL) {
    const base = globalThis.document?.baseURI ?? globalThis.location?.href;
    const url = URL.canParse(picture, base) ? new URL(picture, base).href : String(picture);
    return readURL(ref(url), rules, signal);
  }
  checkSize(picture instanceof Blob ? picture.size : picture.byteLength, ref(''), rules);
  return new Uint8Array(await new Response(picture).arrayBuffer());
}

/**
 * A URL that a server can read: a `blob:` URL means something in this page only, so it becomes a `data:` URL.
 *
 * @throws NearsightError `unreadable_image`; or `signal`'s reason
 */
export async function inlinePicture(
  url: string,
  param: string,
  rules: PictureRules,
  signal?: AbortSignal,
): Promise<string> {
  if (!/^\s*blob:/i.test(url)) return url;
  const bytes = await readURL({ type: 'picture', url, detail: 'auto', param }, rules, signal);
  let binary = '';
  // In pieces, because the arguments of a call go on the stack.
  for (let i = 0; i < bytes.length; i += 8192) binary += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return `data:${mediaTypeOf(binary)};base64,${btoa(binary)}`;
}

/** By the first bytes; PNG if they are of no format that endpoints take. */
function mediaTypeOf(binary: string): string {
  if (binary.startsWith('\xff\xd8')) return 'image/jpeg';
  if (binary.startsWith('GIF8')) return 'image/gif';
  return binary.startsWith('RIFF') && binary.startsWith('WEBP', 8) ? 'image/webp' : 'image/png';
}

async function readURL(ref: PictureRef, rules: PictureRules, signal?: AbortSignal): Promise<Bytes> {
  const bytes = await openURL(ref, rules, signal);
  if (bytes.length === 0) throw unreadable(ref, 'it is empty');
  return bytes;
}

async function openURL(ref: PictureRef, rules: PictureRules, signal?: AbortSignal): Promise<Bytes> {
  const url = ref.url.trim();
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(url.slice(0, 80))?.[1]?.toLowerCase();
  if (scheme === 'data') return decode(url, ref, rules);
  if (!scheme || !URL.canParse(url)) throw unreadable(ref, 'it is not an absolute URL');
  if (scheme === 'blob' || scheme === 'http' || scheme === 'https') return download(new URL(url), ref, rules, signal);
  throw unreadable(ref, `a page cannot read ${scheme}: URLs. Send the picture as a data: URL`);
}

function decode(url: string, ref: PictureRef, rules: PictureRules): Bytes {
  // No encoding takes more than three characters for a byte (`%FF`). Refused before it is decoded, because it may be huge.
  checkSize((url.length - url.indexOf(',') - 1) / 3, ref, rules);
  try {
    const { mediaType, bytes } = readDataURL(url);
    checkType(mediaType, ref);
    checkSize(bytes.length, ref, rules);
    return bytes;
  } catch (error) {
    throw error instanceof SyntaxError ? unreadable(ref, `its data: URL is broken: ${error.message}`) : error;
  }
}

async function download(url: URL, ref: PictureRef, rules: PictureRules, signal?: AbortSignal): Promise<Bytes> {
  if (url.protocol !== 'blob:' && rules.allowed?.(url) === false) {
    throw unreadable(ref, `pictures from ${url.origin} may not be fetched under the policy in force`);
  }
  try {
    const redirect = rules.allowed ? 'error' : 'follow';
    const response = await fetch(url, { credentials: 'omit', redirect, signal: signal ?? null });
    if (!response.ok) throw unreadable(ref, `${url.origin} answered HTTP ${response.status} ${response.statusText}`);
    checkType(response.headers.get('content-type')?.split(';')[0] ?? '', ref);
    checkSize(Number(response.headers.get('content-length')), ref, rules);
    const bytes = await readWithin(response.body, rules.pictureBytes);
    if (!bytes) throw tooLarge(ref, rules);
    return bytes;
  } catch (error) {
    if (error instanceof NearsightError) throw error;
    signal?.throwIfAborted();
    const causes =
      url.protocol === 'blob:'
        ? 'the blob: URL was revoked, belongs to another page, or connect-src forbids blob:'
        : `${url.origin} could not be read: it is unreachable, does not allow this page to read it (CORS), or connect-src forbids it`;
    throw unreadable(ref, causes, error);
  }
}

/** Refuses what says that it is no picture. Servers often name a wrong type, so anything unclear is let through. */
function checkType(mediaType: string, ref: PictureRef): void {
  const type = mediaType.trim().toLowerCase();
  if (type === 'image/svg+xml') throw unreadable(ref, 'SVG is a drawing, not a picture. Rasterise it first');
  if (/^(text|video|audio|multipart)\/|^application\/(json|pdf|xml)/.test(type)) {
    throw unreadable(ref, `its type is ${type.slice(0, 40)}, not a picture`);
  }
}

function checkSize(bytes: number, ref: PictureRef, rules: PictureRules): void {
  if (bytes > rules.pictureBytes) throw tooLarge(ref, rules);
}

function tooLarge(ref: PictureRef, { pictureBytes }: PictureRules): NearsightError {
  return unreadable(ref, `it has more than ${pictureBytes} bytes (limits.pictureBytes). Send a smaller one`);
}

function unreadable(ref: PictureRef, why: string, cause?: unknown): NearsightError {
  return new NearsightError('unreadable_image', `The picture cannot be read: ${why}.`, { param: ref.param, cause });
}
