import { NearsightError } from '../../src/protocol/errors.ts';
import type { TurnPart } from '../../src/protocol/job.ts';
import type { Rgb } from '../backend/image-splitter.ts';
import { type Header, readHeader } from './image-header.ts';

/** An image of a request. */
export type ImagePart = Extract<TurnPart, { type: 'image' }>;

/** The longest edge that both Chromium and Firefox draw; a larger canvas stays blank without an error. */
const MAX_EDGE = 16_384;

/** Rows read from the canvas at a time, so that a large image is never in memory as RGBA twice. */
const BAND_ROWS = 256;

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
    const bitmap = await openBitmap(bytes, header.type);
    try {
      return await readPixels(bitmap);
    } finally {
      bitmap.close();
    }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    // Most clients show only the message, so it must name the image; `ask` has only one.
    const which = param === 'image' ? 'The image' : `The image at ${param}`;
    throw new NearsightError('unreadable_image', `${which} cannot be read: ${reason}.`, { param, cause: error });
  }
}

function checkSize({ width, height }: Header, maxPixels: number): void {
  const size = `it is ${width} x ${height} pixels`;
  if (width * height > maxPixels)
    throw new Error(`${size}, and at most ${maxPixels} are allowed (limits.pixels). Scale it down`);
  if (Math.max(width, height) > MAX_EDGE) throw new Error(`${size}, and an edge may have at most ${MAX_EDGE}`);
}

/**
 * Colour profiles are ignored, as in the reference implementation: applied, the model would see other values than it was
 * trained on. EXIF orientation is applied, by default.
 */
async function openBitmap(bytes: Uint8Array<ArrayBuffer>, type: string): Promise<ImageBitmap> {
  try {
    const options = { colorSpaceConversion: 'none', premultiplyAlpha: 'none' } as const;
    return await createImageBitmap(new Blob([bytes], { type }), options);
  } catch (error) {
    throw new Error(`the browser cannot decode this ${type}`, { cause: error });
  }
}

async function readPixels(bitmap: ImageBitmap): Promise<Rgb> {
  const { width, height } = bitmap;
  const data = new Uint8Array(width * height * 3);
  const canvas = new OffscreenCanvas(width, Math.min(BAND_ROWS, height));
  // Keeps the canvas off the GPU, where drawing may round differently.
  const context = canvas.getContext('2d', { willReadFrequently: true });
  if (!context) throw new Error('there is no 2D canvas to decode it on');
  let opaque = true;
  for (let y = 0; y < height; y += BAND_ROWS) {
    context.clearRect(0, 0, width, BAND_ROWS);
    context.drawImage(bitmap, 0, -y);
    const band = context.getImageData(0, 0, width, Math.min(BAND_ROWS, height - y)).data;
    opaque = blendOnWhite(band, RGBA, data.subarray(y * width * 3)) && opaque;
  }
  if (!opaque) await readUnmultiplied(bitmap, data);
  return { width, height, data };
}

/**
 * Reads transparent images again without a canvas, because a canvas multiplies colours by alpha, and Firefox rounds up.
 * Without `VideoFrame`, values are up to one level off.
 */
async function readUnmultiplied(bitmap: ImageBitmap, data: Uint8Array): Promise<void> {
  if (!('VideoFrame' in globalThis)) return;
  const frame = new VideoFrame(bitmap, { timestamp: 0 });
  try {
    if (frame.format !== 'RGBA' && frame.format !== 'BGRA') return;
    const pixels = new Uint8Array(frame.allocationSize());
    await frame.copyTo(pixels);
    blendOnWhite(pixels, frame.format === 'RGBA' ? RGBA : BGRA, data);
  } finally {
    frame.close();
  }
}

/** Byte offsets in a pixel of four bytes; alpha is last. */
type ChannelOrder = readonly [red: number, green: number, blue: number];
const RGBA: ChannelOrder = [0, 1, 2];
const BGRA: ChannelOrder = [2, 1, 0];

/** Blends pixels, which are not premultiplied, onto white. Returns true if all were opaque. */
function blendOnWhite(pixels: ArrayLike<number>, [red, green, blue]: ChannelOrder, rgb: Uint8Array): boolean {
  let opaque = true;
  for (let from = 0, to = 0; from < pixels.length; from += 4, to += 3) {
    const alpha = pixels[from + 3]!;
    rgb[to] = pixels[from + red]!;
    rgb[to + 1] = pixels[from + green]!;
    rgb[to + 2] = pixels[from + blue]!;
    if (alpha === 255) continue;
    opaque = false;
    for (let i = to; i < to + 3; i++) rgb[i] = Math.round((rgb[i]! * alpha) / 255) + 255 - alpha;
  }
  return opaque;
}
