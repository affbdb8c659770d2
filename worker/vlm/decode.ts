import { NearsightError } from '../../src/wire/error.ts';
import type { TurnPart } from '../../src/wire/job.ts';
import { type Header, readHeader } from './header.ts';
import type { Rgb } from './lanczos.ts';

/** A picture as the request brought it. */
export type PicturePart = Extract<TurnPart, { type: 'picture' }>;

/** The longest edge that both Chromium and Firefox draw; beyond it a canvas stays blank without an error. */
const MAX_EDGE = 16_384;

/** Rows read back at a time, so that a large picture is never in memory as RGBA twice. */
const BAND = 256;

/**
 * Decodes a picture's first frame to RGB, upright, with what is transparent laid on white.
 *
 * @param maxPixels refuses larger pictures before anything is decoded
 * @throws NearsightError `unreadable_image` with the part's `param` and the cause in words
 */
export async function decodePicture({ bytes, param }: PicturePart, maxPixels: number): Promise<Rgb> {
  try {
    const header = readHeader(bytes);
    checkSize(header, maxPixels);
    const bitmap = await openBitmap(bytes, header.type);
    try {
      return readPixels(bitmap);
    } finally {
      bitmap.close();
    }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new NearsightError('unreadable_image', `The picture at ${param} cannot be read: ${reason}.`, {
      param,
      cause: error,
    });
  }
}

function checkSize({ width, height }: Header, maxPixels: number): void {
  const size = `it is ${width} x ${height} pixels`;
  if (width * height > maxPixels) throw new Error(`${size}, and at most ${maxPixels} are allowed; scale it down`);
  if (Math.max(width, height) > MAX_EDGE) throw new Error(`${size}, and an edge may have at most ${MAX_EDGE}`);
}

/**
 * Colours are taken as they are written: the reference knows nothing of colour profiles, so that with them applied
 * the model would see other values than it was trained on. EXIF orientation is applied, by default.
 */
async function openBitmap(bytes: Uint8Array<ArrayBuffer>, type: string): Promise<ImageBitmap> {
  try {
    return await createImageBitmap(new Blob([bytes], { type }), { colorSpaceConversion: 'none' });
  } catch (error) {
    throw new Error(`the browser cannot decode this ${type}`, { cause: error });
  }
}

function readPixels(bitmap: ImageBitmap): Rgb {
  const { width, height } = bitmap;
  const data = new Uint8Array(width * height * 3);
  const canvas = new OffscreenCanvas(width, Math.min(BAND, height));
  // Read often: keeps the canvas out of the GPU, where drawing may round differently.
  const context = canvas.getContext('2d', { alpha: false, willReadFrequently: true });
  if (!context) throw new Error('there is no 2D canvas to decode it on');
  context.fillStyle = 'white';
  let to = 0;
  for (let y = 0; y < height; y += BAND) {
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(bitmap, 0, -y);
    const rgba = context.getImageData(0, 0, width, Math.min(BAND, height - y)).data;
    for (let from = 0; from < rgba.length; from += 4) {
      data[to++] = rgba[from]!;
      data[to++] = rgba[from + 1]!;
      data[to++] = rgba[from + 2]!;
    }
  }
  return { width, height, data };
}
