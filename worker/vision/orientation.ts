import type { Rgb } from '../backend/image-splitter.ts';

/**
 * How the stored pixels have to be turned, in EXIF's numbers (CIPA DC-008, tag 0x0112): 1 not at all, 2 mirrored left to
 * right, 3 by 180 degrees, 4 mirrored top to bottom, 5 mirrored on the diagonal, 6 by 90 degrees clockwise, 7 mirrored on
 * the other diagonal, 8 by 270 degrees clockwise.
 */
export type Orientation = (typeof ORIENTATIONS)[number];
const ORIENTATIONS = [1, 2, 3, 4, 5, 6, 7, 8] as const;

const TAG = 0x0112;
const SHORT = 3;

/** The orientation in EXIF data, which is a TIFF file; 1 if it has none or cannot be read, as in the reference. */
export function readOrientation(exif: Uint8Array): Orientation {
  // Some encoders keep the prefix that EXIF has in JPEG files.
  const start = String.fromCharCode(...exif.subarray(0, 6)) === 'Exif\0\0' ? 6 : 0;
  const view = new DataView(exif.buffer, exif.byteOffset + start, exif.byteLength - start);
  try {
    const little = view.getUint8(0) === 0x49;
    const directory = view.getUint32(4, little);
    const entries = view.getUint16(directory, little);
    for (let at = directory + 2; at < directory + 2 + entries * 12; at += 12) {
      if (view.getUint16(at, little) !== TAG || view.getUint16(at + 2, little) !== SHORT) continue;
      const value = view.getUint16(at + 8, little);
      return ORIENTATIONS.find((orientation) => orientation === value) ?? 1;
    }
  } catch (error) {
    // A read past the end.
    if (!(error instanceof RangeError)) throw error;
  }
  return 1;
}

/** A video frame's own orientation, which TypeScript's library does not have yet. */
declare global {
  interface VideoFrame {
    /** Degrees clockwise, a multiple of 90. */
    readonly rotation?: number;
    readonly flip?: boolean;
  }
}

/** The orientation of a video frame, whose pixels are rotated first and then mirrored left to right. */
export function frameOrientation({ rotation = 0, flip = false }: VideoFrame): Orientation {
  const turns = ([1, 6, 3, 8] as const)[rotation / 90] ?? 1;
  return flip ? ({ 1: 2, 6: 5, 3: 4, 8: 7 } as const)[turns] : turns;
}

/** An upright copy; the image itself if it is upright. */
export function turnUpright(image: Rgb, orientation: Orientation): Rgb {
  if (orientation === 1) return image;
  const swapped = orientation >= 5;
  const fromRight = [2, 3, 7, 8].includes(orientation);
  const fromBottom = [3, 4, 6, 7].includes(orientation);
  const width = swapped ? image.height : image.width;
  const height = swapped ? image.width : image.height;
  const data = new Uint8Array(image.data.length);
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < width; x++, to += 3) {
      const [column, row] = swapped ? [y, x] : [x, y];
      const left = fromRight ? image.width - 1 - column : column;
      const top = fromBottom ? image.height - 1 - row : row;
      const from = (top * image.width + left) * 3;
      data[to] = image.data[from]!;
      data[to + 1] = image.data[from + 1]!;
      data[to + 2] = image.data[from + 2]!;
    }
  }
  return { width, height, data };
}
