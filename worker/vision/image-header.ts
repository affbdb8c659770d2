import type { Size } from '../backend/image-splitter.ts';
import { crc32 } from './crc32.ts';
import { type Orientation, readOrientation } from './orientation.ts';

/** Type and size of an image file; the size is that before EXIF orientation. */
export interface Header extends Size {
  type: 'image/png' | 'image/jpeg' | 'image/webp' | 'image/gif' | 'image/avif' | 'image/bmp';
  /**
   * Of PNG and WebP, where browsers cannot be left to apply it: Chromium and Firefox ignore the EXIF data of WebP, and
   * Firefox 153 gives wrong pixels for an interlaced PNG. They apply the orientation of other files themselves.
   */
  orientation?: Orientation | undefined;
  /**
   * Where that is said, from and to: the browser must not see it, as no option keeps it from turning. Of PNG whole chunks, which
   * can be left out; of WebP their names only, as the file says how long it is.
   */
  exif?: readonly (readonly [from: number, to: number])[];
}

/**
 * Reads type and size from an image file, and walks its structure to the end of the first frame.
 *
 * The size is checked before decoding, because a file of a few kilobytes can decode to gigabytes. The walk detects
 * truncated files, and damaged ones by the checksums of PNG: Firefox decodes both as far as it can (PNG, JPEG and GIF, in
 * 153; Chromium refuses them), and half an image leads to a wrong answer.
 *
 * @throws Error with the reason in plain words
 */
export function readHeader(bytes: Uint8Array): Header {
  if (bytes.length === 0) throw new Error('it has no bytes');
  const format = FORMATS.find(({ matches }) => matches(bytes));
  if (!format) throw new Error(unknownType(bytes));
  try {
    const size = format.walk(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    if (!size || size.width === 0 || size.height === 0)
      throw new Error('it is damaged: it does not say how large it is');
    return { type: format.type, ...size };
  } catch (error) {
    // A read past the end of a DataView.
    if (error instanceof RangeError) throw new Error('it is cut short. Send the whole file', { cause: error });
    throw error;
  }
}

interface Format {
  type: Header['type'];
  matches(bytes: Uint8Array): boolean;
  /** Throws a RangeError if the first frame is truncated. */
  walk(view: DataView): Omit<Header, 'type'> | undefined;
}

const FORMATS: readonly Format[] = [
  { type: 'image/png', matches: (bytes) => ascii(bytes, 8) === '\x89PNG\r\n\x1a\n', walk: walkPng },
  { type: 'image/jpeg', matches: (bytes) => ascii(bytes, 3) === '\xff\xd8\xff', walk: walkJpeg },
  { type: 'image/gif', matches: (bytes) => /^GIF8[79]a/.test(ascii(bytes, 6)), walk: walkGif },
  { type: 'image/webp', matches: (bytes) => /^RIFF....WEBP/s.test(ascii(bytes, 12)), walk: walkWebp },
  { type: 'image/avif', matches: (bytes) => /^....ftyp.*avi[fs]/s.test(ascii(bytes, 64)), walk: walkAvif },
  { type: 'image/bmp', matches: (bytes) => /^BM....\0{4}/s.test(ascii(bytes, 10)), walk: walkBmp },
];

/** Formats that people send and not both browsers decode. Each is looked for in the first 64 bytes, as Latin-1. */
const UNREADABLE: readonly (readonly [start: RegExp, name: string])[] = [
  [/^....ftyp.*(hei|hev|mif1|msf1)/s, 'HEIC'],
  [/^....ftyp/s, 'video'],
  [/^\xff\n|^\0\0\0\fJXL /, 'JPEG XL'],
  [/^\0\0\0\fjP /, 'JPEG 2000'],
  [/^II[*+]\0|^MM\0[*+]/, 'TIFF'],
  // oxlint-disable-next-line no-control-regex -- 2 instead of 1 is a cursor, or a TGA file
  [/^\0\0\x01\0/, 'ICO'],
  [/^%PDF/, 'PDF'],
];

function unknownType(bytes: Uint8Array): string {
  const start = ascii(bytes, 64);
  const known = UNREADABLE.find(([pattern]) => pattern.test(start));
  if (known) return `it is ${known[1]}, which is not supported. Convert it to JPEG or PNG`;
  const text = new TextDecoder().decode(bytes.subarray(0, 256)).trimStart();
  return text.startsWith('<')
    ? 'it looks like SVG or HTML, which have no pixels of their own: draw it to a canvas first'
    : 'it is not a PNG, JPEG, WebP, GIF, AVIF or BMP file';
}

/** Up to `length` bytes as Latin-1; shorter at the end of the file. */
function ascii(bytes: Uint8Array, length: number): string {
  return String.fromCharCode(...bytes.subarray(0, length));
}

/** The four-byte name of a chunk or box. */
function tag(view: DataView, at: number): string {
  return String.fromCharCode(view.getUint8(at), view.getUint8(at + 1), view.getUint8(at + 2), view.getUint8(at + 3));
}

/** Throws a RangeError if the file has fewer bytes. */
function requireLength(view: DataView, length: number): void {
  view.getUint8(length - 1);
}

/** Chunks of PNG that change no pixel. All others are checked: damage can also give a chunk another name. */
const WITHOUT_EFFECT = /^(tEXt|zTXt|iTXt|tIME|pHYs|gAMA|cHRM|iCCP|sRGB|sBIT|bKGD|hIST|sPLT)$/;

/** Chunks of length, type, data and checksum, from IHDR to IEND. */
function walkPng(view: DataView): Omit<Header, 'type'> {
  if (tag(view, 12) !== 'IHDR') throw new Error('it is damaged: its first chunk is not IHDR');
  let orientation: Orientation | undefined;
  const exif: [number, number][] = [];
  for (let at = 8; tag(view, at + 4) !== 'IEND';) {
    const name = tag(view, at + 4);
    const bytes = view.getUint32(at);
    const end = at + 8 + bytes;
    const checksum = view.getUint32(end);
    const typeAndData = new Uint8Array(view.buffer, view.byteOffset + at + 4, bytes + 4);
    if (!WITHOUT_EFFECT.test(name) && crc32(typeAndData) !== checksum) {
      throw new Error(`it is damaged: the checksum of its ${name} chunk does not match`);
    }
    if (name === 'eXIf') {
      orientation ??= readOrientation(typeAndData.subarray(4));
      exif.push([at, end + 4]);
    }
    at = end + 4;
  }
  return { width: view.getUint32(16), height: view.getUint32(20), orientation, exif };
}

/** A file header, an info header and rows from the offset on, each padded to four bytes. Negative heights are top-down. */
function walkBmp(view: DataView): Size {
  const infoBytes = view.getUint32(14, true);
  if (infoBytes < 40) throw new Error('it is a BMP of OS/2, which is not supported. Convert it to PNG');
  const size = { width: Math.max(view.getInt32(18, true), 0), height: Math.abs(view.getInt32(22, true)) };
  const compression = view.getUint32(30, true);
  // 0: none. 3 and 6: none, with masks for the channels.
  if (![0, 3, 6].includes(compression)) throw new Error('it is a compressed BMP. Convert it to PNG');
  const rowBytes = Math.ceil((size.width * view.getUint16(28, true)) / 32) * 4;
  requireLength(view, view.getUint32(10, true) + rowBytes * size.height);
  return size;
}

/** Segments that start with FF and a marker, coded data after each scan header, and EOI at the end. */
function walkJpeg(view: DataView): Size | undefined {
  let size: Size | undefined;
  for (let at = 2; ;) {
    while (view.getUint8(at) !== 0xff || !isSegment(view.getUint8(at + 1))) at++;
    const marker = view.getUint8(at + 1);
    if (marker === EOI) return size;
    // C0 to CF start a frame, except Huffman tables (C4), extensions (C8) and arithmetic conditioning (CC).
    if (marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc) {
      size ??= { width: view.getUint16(at + 7), height: view.getUint16(at + 5) };
    }
    at += 2 + view.getUint16(at + 2);
  }
}

const EOI = 0xd9;

/** In coded data, FF is followed by 00, by a restart marker (D0 to D7) or by another FF. */
function isSegment(marker: number): boolean {
  return marker > 0x01 && marker < 0xff && !(marker >= 0xd0 && marker <= 0xd8);
}

/** Extensions, then an image of sub-blocks that end with an empty one. Later frames may be missing. */
function walkGif(view: DataView): Size {
  const skipBlocks = (at: number): number => {
    while (view.getUint8(at) > 0) at += 1 + view.getUint8(at);
    return at + 1;
  };
  const tableBytes = (flags: number): number => (flags & 0x80 ? 3 << ((flags & 7) + 1) : 0);
  let at = 13 + tableBytes(view.getUint8(10));
  while (view.getUint8(at) === 0x21) at = skipBlocks(at + 2);
  if (view.getUint8(at) !== 0x2c) throw new Error('it is damaged: it has no frame');
  const end = skipBlocks(at + 11 + tableBytes(view.getUint8(at + 9)));
  // To a decoder, the zeros of an interrupted download end the frame early.
  const rest = new Uint8Array(view.buffer, view.byteOffset + end, view.byteLength - end);
  if (rest.length > 0 && rest.every((byte) => byte === 0)) {
    throw new Error('it is damaged: it ends in zeros. Send the whole file');
  }
  // Some decoders enlarge the screen to hold the frame.
  const right = view.getUint16(at + 1, true) + view.getUint16(at + 5, true);
  const bottom = view.getUint16(at + 3, true) + view.getUint16(at + 7, true);
  return { width: Math.max(view.getUint16(6, true), right), height: Math.max(view.getUint16(8, true), bottom) };
}

/** A RIFF file: lossy (VP8), lossless (VP8L), or extended with the canvas size up front (VP8X). */
function walkWebp(view: DataView): Omit<Header, 'type'> | undefined {
  requireLength(view, 8 + view.getUint32(4, true));
  const u24 = (at: number): number => view.getUint16(at, true) + (view.getUint8(at + 2) << 16);
  switch (tag(view, 12)) {
    case 'VP8 ':
      return { width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff };
    case 'VP8L': {
      const bits = view.getUint32(21, true);
      return { width: (bits & 0x3fff) + 1, height: ((bits >> 14) & 0x3fff) + 1 };
    }
    case 'VP8X':
      return { width: u24(24) + 1, height: u24(27) + 1, ...webpExif(view) };
    default:
      return undefined;
  }
}

/** Of the first such chunk: the format has one at most. */
function webpExif(view: DataView): Pick<Header, 'orientation' | 'exif'> | undefined {
  for (let at = 12; at + 8 <= view.byteLength;) {
    const bytes = view.getUint32(at + 4, true);
    const start = view.byteOffset + at + 8;
    if (tag(view, at) === 'EXIF') {
      return { orientation: readOrientation(new Uint8Array(view.buffer, start, bytes)), exif: [[at, at + 4]] };
    }
    // Chunks start at even offsets.
    at += 8 + bytes + (bytes & 1);
  }
  return undefined;
}

/** Nested ISO media boxes; the largest `ispe` property is the size of the image or its grid. */
function walkAvif(view: DataView): Size | undefined {
  let size: Size | undefined;
  let data = false;
  const visit = (from: number, to: number): void => {
    for (let at = from; at < to;) {
      const bytes = view.getUint32(at);
      // 0: to the end of the file; 1: a 64-bit size follows.
      const end = bytes === 0 ? to : at + (bytes === 1 ? Number(view.getBigUint64(at + 8)) : bytes);
      if (end < at + 8) throw new Error('it is damaged: one of its boxes is smaller than its header');
      if (end > to) throw new RangeError('a box reaches past the one around it');
      const name = tag(view, at + 4);
      if (name === 'meta') visit(at + 12, end);
      else if (name === 'iprp' || name === 'ipco') visit(at + 8, end);
      else if (name === 'mdat' || name === 'idat') data = true;
      else if (name === 'ispe') {
        const found = { width: view.getUint32(at + 12), height: view.getUint32(at + 16) };
        if (!size || found.width * found.height > size.width * size.height) size = found;
      }
      at = end;
    }
  };
  visit(0, view.byteLength);
  if (!data) throw new RangeError('the coded image is missing');
  return size;
}
