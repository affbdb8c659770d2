import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { readHeader } from '../../../worker/vision/image-header.ts';
import { bytesOfImage as bytesOf, readJson } from './fixtures.ts';

interface Golden {
  file: string;
  width: number;
  height: number;
}

const TYPES = {
  png: 'image/png',
  jpg: 'image/jpeg',
  gif: 'image/gif',
  webp: 'image/webp',
  avif: 'image/avif',
  bmp: 'image/bmp',
};

const goldens = readJson<Golden[]>('images.json');

/** A file in which a few bytes were overwritten. */
function patched(file: string, at: number, ...bytes: number[]): Uint8Array {
  const copy = Uint8Array.from(bytesOf(file));
  copy.set(bytes, at);
  return copy;
}

/** A BMP with another size in its header. */
function resizedBmp(width: number, height: number): Uint8Array {
  const bytes = Buffer.from(bytesOf('rgb.bmp'));
  bytes.writeInt32LE(width, 18);
  bytes.writeInt32LE(height, 22);
  return bytes;
}

/** A PNG with another size in its IHDR chunk. */
function resizedPng(width: number, height: number): Uint8Array {
  const bytes = Buffer.from(bytesOf('rgb.png'));
  bytes.writeUInt32BE(width, 16);
  bytes.writeUInt32BE(height, 20);
  bytes.writeUInt32BE(crc32(bytes.subarray(12, 29)), 29);
  return bytes;
}

function indexOf(bytes: Uint8Array, text: string): number {
  return Buffer.from(bytes).indexOf(text, 'latin1');
}

describe('type and size of an image file', () => {
  it.for(goldens)('$file', ({ file, width, height }) => {
    const header = readHeader(bytesOf(file));
    const [, extension = ''] = file.split('.');
    expect(TYPES).toHaveProperty(extension, header.type);
    // Orientations 5 to 8 swap width and height.
    const swapped = /turned-(alpha-)?[5-8]/.test(file);
    expect([header.width, header.height]).toEqual(swapped ? [height, width] : [width, height]);
  });

  it('do not depend on the offset of the file in its buffer', () => {
    const file = bytesOf('rgb.png');
    const shifted = new Uint8Array(file.length + 7);
    shifted.set(file, 7);
    expect(readHeader(shifted.subarray(7))).toEqual(readHeader(file));
  });
});

describe('truncated files', () => {
  /** Bytes after the first frame that are not needed: a PNG's final checksum, a GIF's trailer. */
  const spare = (file: string): number => (file.endsWith('.png') ? 4 : file.endsWith('.gif') ? 1 : 0);
  const refusal = (bytes: Uint8Array): string | undefined => {
    try {
      readHeader(bytes);
      return undefined;
    } catch (error) {
      return error instanceof Error ? error.message : undefined;
    }
  };
  const stills = goldens.filter(({ file }) => !/animated.gif/.test(file));

  it.for(stills)('$file is refused at every length', ({ file }) => {
    const bytes = bytesOf(file);
    const complete = bytes.length - spare(file);
    const cut = Array.from({ length: complete - 64 }, (_, i) => bytes.subarray(0, complete - 1 - i));
    expect(
      cut.filter((part) => refusal(part) !== 'it is cut short. Send the whole file').map((part) => part.length),
    ).toEqual([]);
  });

  it('an animation is complete if its first frame is', () => {
    const bytes = bytesOf('animated.gif');
    expect(readHeader(bytes.subarray(0, bytes.length * 0.75))).toMatchObject({ width: 37, height: 29 });
    expect(() => readHeader(bytes.subarray(0, bytes.length * 0.25))).toThrow('it is cut short');
  });
});

describe('files that are not images, or declare a wrong size', () => {
  const text = (value: string): Uint8Array => new TextEncoder().encode(value);

  it.for([
    ['no bytes', new Uint8Array(), 'no bytes'],
    ['one byte', Uint8Array.of(0x89), 'not a PNG, JPEG'],
    ['text', text('hello'), 'not a PNG, JPEG'],
    ['a text that starts like a BMP', text('BMW or Audi? '), 'not a PNG, JPEG'],
    ['a BMP of zeros', text(`BM${'\0'.repeat(60)}`), 'a BMP of OS/2, which is not supported. Convert it to PNG'],
    ['a BMP of width 0', resizedBmp(0, 29), 'how large'],
    ['a BMP of height 0', resizedBmp(37, 0), 'how large'],
    ['a BMP of negative width', resizedBmp(-37, 29), 'how large'],
    ['a BMP with more rows than bytes', resizedBmp(37, 30), 'cut short'],
    ['a BMP of 100 megapixels in 3 kB', resizedBmp(10_000, 10_000), 'cut short'],
    ['a BMP of 2 gigapixels in 3 kB', resizedBmp(0x7fffffff, -0x80000000), 'cut short'],
    ['a BMP with RLE', patched('palette.bmp', 30, 1), 'a compressed BMP. Convert it to PNG'],
    ['a BMP with a PNG in it', patched('rgb.bmp', 30, 5), 'a compressed BMP. Convert it to PNG'],
    ['SVG', text('<svg xmlns="http://www.w3.org/2000/svg"/>'), 'SVG'],
    ['SVG after whitespace and a byte order mark', text('\ufeff \n<?xml version="1.0"?><svg/>'), 'SVG'],
    ['a PNG of width 0', resizedPng(0, 29), 'how large'],
    ['a PNG without its header', patched('rgb.png', 12, 0x49, 0x44, 0x41, 0x54), 'IHDR'],
    ['a JPEG with no frame', Uint8Array.of(0xff, 0xd8, 0xff, 0xe0, 0, 2, 0xff, 0xd9), 'how large'],
    ['a GIF with no frame', Uint8Array.of(...text('GIF89a'), 1, 0, 1, 0, 0, 0, 0, 0x3b), 'no frame'],
  ] as const)('%s', ([, bytes, message]) => {
    expect(() => readHeader(bytes)).toThrow(message);
  });

  const box = (...brands: string[]): Uint8Array => Uint8Array.of(0, 0, 0, 24, ...text(`ftyp${brands.join('')}`));
  it.for([
    ['HEIC', box('heic', '\0\0\0\0', 'mif1heic')],
    ['HEIC', box('mif1', '\0\0\0\0', 'mif1heic')],
    ['HEIC', box('msf1', '\0\0\0\0', 'hevc')],
    ['video', box('mp42', '\0\0\0\0', 'isom')],
    ['JPEG XL', Uint8Array.of(0xff, 0x0a, 0xfa, 0x1f)],
    ['JPEG XL', text('\0\0\0\fJXL \r\n')],
    ['JPEG 2000', text('\0\0\0\fjP  \r\n')],
    ['TIFF', text('II*\0\b\0\0\0')],
    ['TIFF', text('MM\0*\0\0\0\b')],
    ['ICO', Uint8Array.of(0, 0, 1, 0, 1, 0, 16, 16)],
    ['PDF', text('%PDF-1.7')],
  ] as const)('%s is named, and what to do', ([name, bytes]) => {
    expect(() => readHeader(bytes)).toThrow(`it is ${name}, which is not supported. Convert it to JPEG or PNG`);
  });

  it.for([
    ['PNG', resizedPng(10_000, 10_000)],
    ['JPEG', patched('420.jpg', indexOf(bytesOf('420.jpg'), '\xff\xc0') + 5, 0x27, 0x10, 0x27, 0x10)],
    ['GIF', patched('plain.gif', 6, 0x10, 0x27, 0x10, 0x27)],
    ['lossy WebP', patched('lossy.webp', 26, 0x10, 0x27, 0x10, 0x27)],
    ['lossless WebP', patched('lossless.webp', 21, 0x0f, 0xe7, 0xc3, 0x09)],
    ['extended WebP', patched('animated.webp', 24, 0x0f, 0x27, 0, 0x0f, 0x27, 0)],
    ['AVIF', patched('420.avif', indexOf(bytesOf('420.avif'), 'ispe') + 8, 0, 0, 0x27, 0x10, 0, 0, 0x27, 0x10)],
  ] as const)('reads the size of a %s of 100 megapixels', ([, bytes]) => {
    expect(readHeader(bytes)).toMatchObject({ width: 10_000, height: 10_000 });
  });

  it('a PNG is refused if one bit of a chunk that changes pixels is wrong, and only then', () => {
    const file = bytesOf('gamma.png');
    const [gamma, data] = [indexOf(file, 'gAMA'), indexOf(file, 'IDAT')];
    for (const at of [16, 29, 32, data + 4, data + 100, file.length - 13]) {
      expect(() => readHeader(patched('gamma.png', at, file[at]! ^ 1))).toThrow(/its (IHDR|IDAT) chunk does not match/);
    }
    for (const at of [gamma + 4, gamma + 8]) readHeader(patched('gamma.png', at, file[at]! ^ 1));
  });

  it('a PNG gives its orientation, and is refused if a bit of that, or of its name, is wrong', () => {
    const file = bytesOf('turned-6.png');
    const exif = indexOf(file, 'eXIf');
    const bytes = Buffer.from(file).readUInt32BE(exif - 4);
    expect(readHeader(file)).toMatchObject({ orientation: 6, exif: [[exif - 4, exif + 8 + bytes]] });
    for (const at of [exif, exif + 4, exif + 3 + bytes]) {
      expect(() => readHeader(patched('turned-6.png', at, file[at]! ^ 1))).toThrow(/its \w{4} chunk does not match/);
    }
  });

  it('a GIF that ends in zeros, as an interrupted download does, is refused', () => {
    const file = bytesOf('plain.gif');
    for (const at of [file.length - 20, file.length - 10, file.length - 1]) {
      expect(() => readHeader(Uint8Array.from(file).fill(0, at))).toThrow(/ends in zeros|cut short/);
    }
    // Some encoders write more zeros than needed.
    expect(readHeader(Buffer.concat([file.subarray(0, -1), Buffer.of(0, 0x3b)]))).toMatchObject({ type: 'image/gif' });
  });

  it('a damaged file gives a header or an Error', () => {
    let state = 1;
    const random = (below: number): number => (state = (state * 48271) % 0x7fffffff) % below;
    for (const { file } of goldens) {
      for (let round = 0; round < 200; round++) {
        const bytes = patched(file, random(bytesOf(file).length), random(256));
        try {
          readHeader(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(Error);
        }
      }
    }
  });
});
