// A worker with only the image decoder. `image-decoder.test.ts` builds and serves it, because the package does not export
// decoded pixels.
import { NearsightError } from '../../../src/protocol/errors.ts';
import { decodeImage } from '../../../worker/vision/image-decoder.ts';

export interface Order {
  bytes: Uint8Array<ArrayBuffer>;
  maxPixels: number;
  /**
   * Like a browser without WebCodecs; or one that gives noise for the pixels of a canvas, and has WebGPU or not; or one
   * that flips the lowest bit of some.
   */
  browser: 'usual' | 'no WebCodecs' | 'noise' | 'noise, no WebGPU' | 'flipped bits, no WebGPU';
}

/** `rgb` is base64. */
export type Outcome =
  | { width: number; height: number; rgb: string }
  | { code: string; message: string; param: string | undefined };

/** What Firefox with `privacy.resistFingerprinting` gives, as it was seen in 153. */
const noise = (): number => Math.random() * 256;

/** Of colours only: alpha stays. */
const flip = (level: number, at: number): number => (at % 4 === 3 ? level : level ^ Number(Math.random() < 0.5));

function disturb(change: (level: number, at: number) => number): void {
  const { getImageData } = OffscreenCanvasRenderingContext2D.prototype;
  OffscreenCanvasRenderingContext2D.prototype.getImageData = function (...args) {
    const image = getImageData.apply(this, args);
    for (let at = 0; at < image.data.length; at++) image.data[at] = change(image.data[at]!, at);
    return image;
  };
}

async function decode({ bytes, maxPixels, browser }: Order): Promise<Outcome> {
  if (browser !== 'usual') Reflect.deleteProperty(globalThis, 'VideoFrame');
  if (browser.startsWith('noise')) disturb(noise);
  if (browser.startsWith('flipped bits')) disturb(flip);
  if (browser.endsWith('no WebGPU')) Object.defineProperty(navigator, 'gpu', { value: undefined });
  const part = { type: 'image', detail: 'low', bytes, param: 'messages[0].content[1].image_url' } as const;
  try {
    const { width, height, data } = await decodeImage(part, maxPixels);
    return { width, height, rgb: btoa(Array.from(data, (level) => String.fromCharCode(level)).join('')) };
  } catch (error) {
    if (!(error instanceof NearsightError)) throw error;
    return { code: error.code, message: error.message, param: error.param };
  }
}

addEventListener('message', ({ data }: MessageEvent<Order>) => void decode(data).then(postMessage));
