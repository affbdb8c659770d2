import { yieldToEvents } from '../async/yield-to-events.ts';

declare global {
  interface Uint8ArrayConstructor {
    /** In newer browsers; ten times as fast as `atob`. TypeScript's library does not have it yet. */
    fromBase64?(text: string): Uint8Array<ArrayBuffer>;
  }
}

/** How many characters are decoded per turn of the event loop: in Chromium a task of some 5 ms. A multiple of four. */
const CHARACTERS_PER_TURN = 1 << 19;

/**
 * Decodes a `data:` URL without `fetch`, which `connect-src 'self'` would forbid.
 *
 * Accepts what browsers accept: base64 or url-encoded bytes, either case, blanks, missing padding.
 *
 * @returns the media type in lower case, without parameters; empty if the URL names none
 * @throws SyntaxError whose message says what is wrong
 */
export async function readDataURL(url: string): Promise<{ mediaType: string; bytes: Uint8Array<ArrayBuffer> }> {
  const comma = url.indexOf(',');
  if (comma < 0) throw new SyntaxError('it has no comma between its type and its data');
  const [mediaType = '', ...parameters] = url
    .slice('data:'.length, comma)
    .toLowerCase()
    .split(';')
    .map((word) => word.trim());
  if (parameters.includes('asset_id')) {
    throw new SyntaxError('NVCF assets live on a server; send the image itself, in base64');
  }
  const data = url.slice(comma + 1);
  if (/^\s*data:/i.test(data)) throw new SyntaxError('it has its prefix twice');
  return { mediaType, bytes: parameters.at(-1) === 'base64' ? await fromBase64(data) : fromPercent(data) };
}

async function fromBase64(data: string): Promise<Uint8Array<ArrayBuffer>> {
  try {
    const text = (data.includes('%') ? decodeURIComponent(data) : data).replaceAll(/[\t\n\f\r ]+/g, '');
    if (text.length <= CHARACTERS_PER_TURN) return decode(text);
    const characters = text.length - (text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0);
    const bytes = new Uint8Array(Math.floor((characters * 3) / 4));
    let length = 0;
    for (let at = 0; at < text.length; at += CHARACTERS_PER_TURN) {
      await yieldToEvents();
      // Padding is allowed at the end only: with some in the middle, this is not where the part belongs.
      if (length !== (at * 3) / 4) throw new SyntaxError();
      const part = decode(text.slice(at, at + CHARACTERS_PER_TURN));
      bytes.set(part, length);
      length += part.length;
    }
    return bytes;
  } catch {
    // Padding may be escaped. Two patterns, because one for both would take quadratic time.
    const urlSafe = /[-_]/.test(data) && /^(?:[\w\s=-]|%3d)*$/i.test(data);
    throw new SyntaxError(urlSafe ? 'it is url-safe base64. Write + for - and / for _' : 'it is not valid base64');
  }
}

/** Missing padding is no error. */
function decode(text: string): Uint8Array<ArrayBuffer> {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

/** Decodes `%89PNG…`: an escape is one byte, any other character is its UTF-8. */
function fromPercent(data: string): Uint8Array<ArrayBuffer> {
  const bytes = new TextEncoder().encode(data);
  let length = 0;
  for (let i = 0; i < bytes.length; i++) {
    const hex = bytes[i] === 0x25 ? String.fromCharCode(bytes[i + 1] ?? 0, bytes[i + 2] ?? 0) : '';
    const escape = /^[0-9a-f]{2}$/i.test(hex);
    bytes[length++] = escape ? parseInt(hex, 16) : (bytes[i] ?? 0);
    if (escape) i += 2;
  }
  return bytes.slice(0, length);
}
