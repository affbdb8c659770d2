import { crc32, deflateSync } from 'node:zlib';

/** Colour types of PNG, by the number in its header, with their samples per pixel. */
export const COLOUR_TYPES = {
  grey: { type: 0, samples: 1, depths: [1, 2, 4, 8, 16] },
  rgb: { type: 2, samples: 3, depths: [8, 16] },
  palette: { type: 3, samples: 1, depths: [1, 2, 4, 8] },
  greyAlpha: { type: 4, samples: 2, depths: [8, 16] },
  rgba: { type: 6, samples: 4, depths: [8, 16] },
} as const;

export interface PngImage {
  width: number;
  height: number;
  colour: keyof typeof COLOUR_TYPES;
  depth: number;
  interlaced: boolean;
  /** The samples of a pixel, each within `depth`. */
  pixel: (x: number, y: number) => readonly number[];
  /** Chunks between header and data, in this order: PLTE, tRNS, eXIf. */
  chunks: readonly (readonly [type: string, data: Uint8Array])[];
}

/** The passes of Adam7: first column, first row, step to the right, step down. */
const ADAM7 = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
] as const;

/** Writes a PNG file of any colour type and bit depth, which libvips does not; its lines have no filter. */
export function writePng({ width, height, colour, depth, interlaced, pixel, chunks }: PngImage): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([depth, COLOUR_TYPES[colour].type, 0, 0, interlaced ? 1 : 0], 8);
  const lines: Buffer[] = [];
  for (const [left, top, right, down] of interlaced ? ADAM7 : ([[0, 0, 1, 1]] as const)) {
    // A pass without columns has no lines either.
    const bottom = left < width ? height : 0;
    for (let y = top; y < bottom; y += down) {
      const samples: number[] = [];
      for (let x = left; x < width; x += right) samples.push(...pixel(x, y));
      lines.push(Buffer.of(0), packLine(samples, depth));
    }
  }
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    writeChunk('IHDR', header),
    ...chunks.map(([type, data]) => writeChunk(type, data)),
    writeChunk('IDAT', deflateSync(Buffer.concat(lines))),
    writeChunk('IEND', Buffer.alloc(0)),
  ]);
}

function packLine(samples: readonly number[], depth: number): Buffer {
  const line = Buffer.alloc(Math.ceil((samples.length * depth) / 8));
  for (const [i, sample] of samples.entries()) {
    if (depth === 16) line.writeUInt16BE(sample, i * 2);
    else line[(i * depth) >> 3]! |= sample << (8 - depth - ((i * depth) & 7));
  }
  return line;
}

function writeChunk(type: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const chunk = Buffer.alloc(body.length + 8);
  chunk.writeUInt32BE(data.length, 0);
  body.copy(chunk, 4);
  chunk.writeUInt32BE(crc32(body), body.length + 4);
  return chunk;
}
