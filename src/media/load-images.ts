import { isYieldDue, yieldToEvents } from '../async/yield-to-events.ts';
import { className } from '../bytes/class-name.ts';
import { readWithin } from '../bytes/read-within.ts';
import { readDataURL } from '../bytes/data-url.ts';
import { isPageScheme, resolveURL } from '../bytes/page-url.ts';
import { NearsightError } from '../protocol/errors.ts';

/** An image by its URL. */
export interface ImageRef {
  url: string;
  /** The path of the request field that holds it, for errors. */
  param: string;
}

/** What may be read. */
export interface ImageRules {
  /** Maximum bytes of one image's file. */
  imageBytes: number;
  /** The option that limits them, for errors. @defaultValue 'limits.imageBytes' */
  limit?: string;
  /** Maximum images in one request, over all turns. */
  images: number;
  /** Which `http:` and `https:` URLs may be fetched; absent: all. If set, redirects fail: their targets are not visible. */
  allowed?: ((url: URL) => boolean) | undefined;
}

type Bytes = Uint8Array<ArrayBuffer>;

/**
 * The origins from which images may be fetched under a policy: under `local-only` the page's own and those it lists, else
 * all.
 */
export function allowedUnder(policy: unknown, listed: readonly string[] = []): ImageRules['allowed'] {
  if (policy !== 'local-only') return undefined;
  // Pages may give an origin with a slash or path.
  const origins = [globalThis.location?.origin, ...listed.map((origin) => resolveURL(origin)?.origin)];
  return (url) => origins.includes(url.origin);
}

/**
 * The bytes of images, by their URLs; each URL is fetched once. The worker checks that they are images.
 *
 * Rejects with a NearsightError `unreadable_image` with the image's `param` and the cause, or with `signal`'s reason.
 *
 * @throws NearsightError `invalid_request` at once for more than `rules.images`
 */
export function loadImages(
  refs: readonly ImageRef[],
  rules: ImageRules,
  signal?: AbortSignal,
): Promise<Map<string, Bytes>> {
  const extra = refs[rules.images];
  if (extra) {
    const message = `The request has ${refs.length} images; limits.images is ${rules.images}. Send fewer.`;
    throw new NearsightError('invalid_request', message, { param: extra.param });
  }
  // The first failure ends the other downloads.
  const stop = new AbortController();
  const either = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
  const files = new Map<string, Promise<Bytes>>();
  for (const ref of refs) if (!files.has(ref.url)) files.set(ref.url, readURL(ref, rules, either));
  const entries = [...files].map(async ([url, file]) => [url, await file] as const);
  return Promise.all(entries).then(
    (read) => new Map(read),
    (error: unknown) => {
      stop.abort(error);
      throw signal?.aborted ? signal.reason : error;
    },
  );
}

/**
 * The bytes of one image in any form that a page may have it in. A string is a URL, relative to the page.
 *
 * @throws NearsightError `unreadable_image`; or `signal`'s reason
 */
export async function readImage(
  image: Blob | BufferSource | string | URL,
  rules: ImageRules,
  signal?: AbortSignal,
  param = 'image',
): Promise<Bytes> {
  const ref = { url: '', param };
  try {
    if (isBlob(image)) {
      checkSize(image.size, ref, rules);
      return new Uint8Array(
        await image.arrayBuffer().catch((cause: unknown) => {
          throw unreadable(ref, 'the file was changed, moved or deleted since it was chosen. Choose it again', cause);
        }),
      );
    }
    if (ArrayBuffer.isView(image) || isBuffer(image)) {
      checkSize(image.byteLength, ref, rules);
      const { buffer, byteOffset } = ArrayBuffer.isView(image) ? image : { buffer: image, byteOffset: 0 };
      // A copy, because shared memory cannot be transferred to the worker.
      return new Uint8Array(new Uint8Array(buffer, byteOffset, image.byteLength));
    }
    ref.url = resolveURL(image)?.href ?? String(image);
  } catch (cause) {
    if (cause instanceof NearsightError) throw cause;
    const why = ArrayBuffer.isView(image)
      ? 'its bytes were transferred to another thread. Pass a copy'
      : `it is not a real ${className(image)}, but a proxy or an imitation. Pass the original`;
    throw unreadable(ref, why, cause);
  }
  return readURL(ref, rules, signal);
}

function isBlob(value: unknown): value is Blob {
  return ['Blob', 'File'].includes(className(value));
}

function isBuffer(value: unknown): value is ArrayBuffer {
  return ['ArrayBuffer', 'SharedArrayBuffer'].includes(className(value));
}

/**
 * A URL that a server can read: a `blob:` URL is valid in this page only, and one of the page's own scheme on this device
 * only, so they become `data:` URLs. Its own limit decides what the server takes.
 *
 * @param requestBytes maximum bytes of one image, those of a request: one that is too large for this device is not for it
 * @throws NearsightError `unreadable_image`; or `signal`'s reason
 */
export async function inlineImage(ref: ImageRef, requestBytes: number, signal?: AbortSignal): Promise<string> {
  const scheme = schemeOf(ref.url.trim());
  if (scheme !== 'blob' && !isOwnScheme(scheme)) return ref.url;
  const rules = { imageBytes: requestBytes, limit: 'limits.requestBytes', images: 1 };
  const bytes = await readURL(ref, rules, signal);
  let base64 = '';
  for (let at = 0; at < bytes.length; at += SLICE) {
    base64 += btoa(String.fromCharCode(...bytes.subarray(at, at + SLICE)));
    // A photo takes half a second on a slow device.
    if (isYieldDue()) await yieldToEvents(signal);
  }
  return `data:${mediaTypeOf(bytes)};base64,${base64}`;
}

/** Bytes that become base64 at once: of three, so that nothing is padded, and few, because arguments go on the stack. */
const SLICE = 3 * 2048;

/** By the first bytes; PNG if they are of none of the formats that endpoints take. */
function mediaTypeOf(bytes: Bytes): string {
  const binary = String.fromCharCode(...bytes.subarray(0, 12));
  if (binary.startsWith('\xff\xd8')) return 'image/jpeg';
  if (binary.startsWith('GIF8')) return 'image/gif';
  return binary.startsWith('RIFF') && binary.startsWith('WEBP', 8) ? 'image/webp' : 'image/png';
}

/** The start of a file's base64: too long and without the dots of a path. */
const BASE64 = /^[a-z0-9+/=_\s-]{64,}$/i;

async function readURL(ref: ImageRef, rules: ImageRules, signal?: AbortSignal): Promise<Bytes> {
  const url = ref.url.trim();
  const scheme = schemeOf(url);
  if (!scheme && BASE64.test(url.slice(0, 200))) {
    throw unreadable(ref, 'it is base64 without a prefix. Put data:image/png;base64, before it (or image/jpeg, …)');
  }
  if (!scheme || (scheme !== 'data' && !URL.canParse(url)))
    throw unreadable(ref, 'it is not an absolute URL. Start it with https:// or data:');
  if (!['data', 'blob', ...NETWORK].includes(scheme) && !isOwnScheme(scheme)) {
    throw unreadable(ref, `a page cannot read ${scheme}: URLs. Send the image as a data: URL`);
  }
  const bytes = scheme === 'data' ? await decode(url, ref, rules) : await download(new URL(url), ref, rules, signal);
  if (bytes.length === 0) throw unreadable(ref, 'it is empty');
  return bytes;
}

function schemeOf(url: string): string | undefined {
  return /^([a-z][a-z0-9+.-]*):/i.exec(url.slice(0, 80))?.[1]?.toLowerCase();
}

const NETWORK = ['http', 'https'];

/** Whether it is the page's own, and not the network's: the files of an extension or of an application. */
function isOwnScheme(scheme: string | undefined): boolean {
  return scheme !== undefined && !NETWORK.includes(scheme) && isPageScheme(scheme);
}

async function decode(url: string, ref: ImageRef, rules: ImageRules): Promise<Bytes> {
  // A byte takes three characters at most (`%FF`). Checked before decoding, because the URL may be huge.
  checkSize((url.length - url.indexOf(',') - 1) / 3, ref, rules);
  try {
    const { mediaType, bytes } = await readDataURL(url);
    checkSize(bytes.length, ref, rules);
    checkType(mediaType, bytes, ref);
    return bytes;
  } catch (error) {
    throw error instanceof SyntaxError ? unreadable(ref, `its data: URL is broken: ${error.message}`) : error;
  }
}

async function download(url: URL, ref: ImageRef, rules: ImageRules, signal?: AbortSignal): Promise<Bytes> {
  // Most browsers give the URLs of application schemes no origin.
  const from = url.origin === 'null' ? url.href.slice(0, 80) : url.origin;
  if (/^https?:/.test(url.protocol) && rules.allowed?.(url) === false) {
    throw unreadable(ref, `the policy local-only allows images of ${url.origin} only if images.origins lists it`);
  }
  try {
    const redirect = rules.allowed ? 'error' : 'follow';
    const init: RequestInit = { credentials: 'omit', redirect, referrerPolicy: 'no-referrer', signal: signal ?? null };
    const response = await fetch(url, init);
    // Application schemes may have no statuses.
    if (!response.ok && response.status !== 0) {
      throw unreadable(ref, `${from} answered HTTP ${response.status} ${response.statusText}`);
    }
    checkSize(Number(response.headers.get('content-length')), ref, rules);
    const bytes = await readWithin(response.body, rules.imageBytes);
    if (!bytes) throw tooLarge(ref, rules);
    checkType(response.headers.get('content-type')?.split(';')[0] ?? '', bytes, ref);
    return bytes;
  } catch (error) {
    if (error instanceof NearsightError) throw error;
    signal?.throwIfAborted();
    const causes =
      url.protocol === 'blob:'
        ? 'the blob: URL was revoked, belongs to another page, its file has changed, or connect-src forbids blob:'
        : `${from} could not be read: it is unreachable, does not allow this page to read it (CORS), or connect-src forbids it`;
    throw unreadable(ref, causes, error);
  }
}

/** PNG, JPEG, GIF, WebP, BMP, and AVIF with its relatives. */
const IMAGE_START = /^(?:\x89PNG|\xff\xd8\xff|GIF8|RIFF....WEBP|BM....\0{4}|....ftyp)/s;

/** Refuses a type that cannot be an image, unless the bytes are one: servers often send a wrong type. */
function checkType(mediaType: string, bytes: Bytes, ref: ImageRef): void {
  const type = mediaType.trim().toLowerCase();
  if (type === 'image/svg+xml') throw unreadable(ref, 'SVG is not supported. Send a raster image, such as PNG or JPEG');
  const start = String.fromCharCode(...bytes.subarray(0, 12));
  if (/^(text|video|audio|multipart)\/|^application\/(json|pdf|xml)/.test(type) && !IMAGE_START.test(start)) {
    throw unreadable(ref, `its type is ${type.slice(0, 40)}, not an image. Check what its URL gives`);
  }
}

function checkSize(bytes: number, ref: ImageRef, rules: ImageRules): void {
  if (bytes > rules.imageBytes) throw tooLarge(ref, rules);
}

function tooLarge(ref: ImageRef, { imageBytes, limit = 'limits.imageBytes' }: ImageRules): NearsightError {
  return unreadable(ref, `it has more than ${imageBytes} bytes (${limit}). Send a smaller one`);
}

function unreadable(ref: ImageRef, why: string, cause?: unknown): NearsightError {
  // Most clients show only the message, so it must name the image; `ask` has only one.
  const which = ref.param === 'image' ? 'The image' : `The image at ${ref.param}`;
  return new NearsightError('unreadable_image', `${which} cannot be read: ${why}.`, { param: ref.param, cause });
}
