import type { Rgb } from '../backend/image-splitter.ts';
import { frameOrientation, turnUpright } from './orientation.ts';
import { readBandsOnGpu } from './read-bands-on-gpu.ts';

/** Rows read at a time, so that a large image is never in memory as RGBA twice. */
const BAND_ROWS = 256;

/**
 * Two ways to the same pixels differ by at most this: a canvas multiplies colours by alpha, and rounds. Browsers that flip
 * the lowest bit of some pixels stay within it.
 */
const MAX_ROUNDING = 2;

/** Byte offsets in a pixel of four bytes; alpha is last. */
type ChannelOrder = readonly [red: number, green: number, blue: number];
const RGBA: ChannelOrder = [0, 1, 2];
const BGRA: ChannelOrder = [2, 1, 0];

/**
 * Reads the pixels of an image, on white.
 *
 * @throws Error with the reason in plain words
 */
export async function readPixels(bitmap: ImageBitmap): Promise<Rgb> {
  const { width, height } = bitmap;
  const image = { width, height, data: new Uint8Array(width * height * 3) };
  let opaque = true;
  const onBand = (pixels: ArrayLike<number>, top: number): void => {
    opaque = blendOnWhite(pixels, RGBA, image.data.subarray(top * width * 3)) && opaque;
  };
  if (!canvasIsExact()) {
    await readBandsOnGpu(bitmap, BAND_ROWS, onBand);
    return image;
  }
  readBands(bitmap, onBand);
  const exact = opaque ? undefined : await readFrame(bitmap);
  return exact && agree(exact, image) ? exact : image;
}

/** Keeps the canvas off the GPU, where drawing may round differently. */
function openCanvas(width: number, height: number): OffscreenCanvasRenderingContext2D {
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  if (!context) throw new Error('there is no 2D canvas to decode it on');
  return context;
}

let exact: boolean | undefined;

/**
 * Whether a canvas gives the pixels that were put on it, in this worker. Against fingerprinting, browsers give noise
 * (Firefox with `privacy.resistFingerprinting`, Tor).
 */
function canvasIsExact(): boolean {
  if (exact !== undefined) return exact;
  const context = openCanvas(64, 64);
  const pattern = context.createImageData(64, 64);
  for (let at = 0; at < pattern.data.length; at++) pattern.data[at] = at % 4 === 3 ? 255 : (at * 89) % 251;
  context.putImageData(pattern, 0, 0);
  const { data } = context.getImageData(0, 0, 64, 64);
  exact = data.every((level, at) => Math.abs(level - pattern.data[at]!) <= MAX_ROUNDING);
  return exact;
}

function readBands(bitmap: ImageBitmap, onBand: (pixels: ArrayLike<number>, top: number) => void): void {
  const { width, height } = bitmap;
  const context = openCanvas(width, Math.min(BAND_ROWS, height));
  for (let top = 0; top < height; top += BAND_ROWS) {
    context.clearRect(0, 0, width, BAND_ROWS);
    context.drawImage(bitmap, 0, -top);
    onBand(context.getImageData(0, 0, width, Math.min(BAND_ROWS, height - top)).data, top);
  }
}

/** The pixels without a canvas, whose rounding shows in transparent images: Firefox rounds up. */
async function readFrame(bitmap: ImageBitmap): Promise<Rgb | undefined> {
  if (!('VideoFrame' in globalThis)) return undefined;
  const frame = new VideoFrame(bitmap, { timestamp: 0 });
  try {
    const { format, codedWidth: width, codedHeight: height } = frame;
    if (format !== 'RGBA' && format !== 'BGRA') return undefined;
    const pixels = new Uint8Array(frame.allocationSize());
    await frame.copyTo(pixels);
    const data = new Uint8Array(width * height * 3);
    blendOnWhite(pixels, format === 'RGBA' ? RGBA : BGRA, data);
    // In Chromium, the frame of an image with an orientation has the pixels as stored, and says how to turn them.
    return turnUpright({ width, height, data }, frameOrientation(frame));
  } finally {
    frame.close();
  }
}

function agree(one: Rgb, other: Rgb): boolean {
  return (
    one.width === other.width &&
    one.height === other.height &&
    one.data.every((level, at) => Math.abs(level - other.data[at]!) <= MAX_ROUNDING)
  );
}

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
