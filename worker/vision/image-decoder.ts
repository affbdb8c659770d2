import type { TurnPart } from '../../src/protocol/job.ts';
import type { Rgb } from '../backend/image-splitter.ts';
import { type Header, readHeader } from './image-header.ts';
import { turnUpright } from './orientation.ts';
import { readPixels } from './read-pixels.ts';
import { unreadableImage } from './unreadable-image.ts';

/** An image of a request. */
export type ImagePart = Extract<TurnPart, { type: 'image' }>;

/** The longest edge that both Chromium and Firefox draw; a larger canvas stays blank without an error. */
const MAX_EDGE = 16_384;

/**
 * Decodes an image's first frame to RGB, upright, on a white background.
 *
 * @param maxPixels larger images are refused before they are decoded
 * @throws NearsightError `unreadable_image` with the part's `param` and the reason
 */
export async function decodeImage({ bytes, param }: ImagePart, maxPixels: number): Promise<Rgb> {
  try {
    const header = readHeader(bytes);
    checkSize(header, maxPixels);
    const bitmap = await openBitmap(bytes, header);
    try {
      return turnUpright(await readPixels(bitmap), header.orientation ?? 1);
    } finally {
      bitmap.close();
    }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw unreadableImage(param, `cannot be read: ${reason}`, error);
  }
}

function checkSize({ width, height }: Header, maxPixels: number): void {
  const size = `it is ${width} x ${height} pixels`;
  if (width * height > maxPixels)
    throw new Error(`${size}, and at most ${maxPixels} are allowed (limits.pixels). Scale it down`);
  if (Math.max(width, height) > MAX_EDGE)
    throw new Error(`${size}, and an edge may have at most ${MAX_EDGE}. Scale it down`);
}

/**
 * Colour profiles are ignored, as in the reference implementation: applied, the model would see other values than it was
 * trained on. The browser applies an orientation, except in formats for which the header gives it.
 */
async function openBitmap(bytes: Uint8Array<ArrayBuffer>, { type, exif = [] }: Header): Promise<ImageBitmap> {
  const starts = [0, ...exif.map(([, to]) => to)];
  // A chunk of a name that no browser knows.
  const instead = type === 'image/webp' ? 'NONE' : '';
  const parts = starts.flatMap((from, i) => [i > 0 ? instead : '', bytes.subarray(from, exif[i]?.[0])]);
  try {
    const options = { colorSpaceConversion: 'none', premultiplyAlpha: 'none', imageOrientation: 'from-image' } as const;
    return await createImageBitmap(new Blob(parts, { type }), options);
  } catch (error) {
    throw new Error(`the browser cannot decode this ${type}: it may be damaged. Save it anew, as PNG or JPEG`, {
      cause: error,
    });
  }
}
