// A worker with only the image decoder. `image-decoder.test.ts` builds and serves it, because the package does not export
// decoded pixels.
import { NearsightError } from '../../../src/protocol/errors.ts';
import { decodeImage } from '../../../worker/vision/image-decoder.ts';

export interface Order {
  bytes: Uint8Array<ArrayBuffer>;
  maxPixels: number;
  /** Like a browser without WebCodecs; or one that gives noise for the pixels of a canvas, and has WebGPU or not. */
  browser: 'usual' | 'no WebCodecs' | 'noise' | 'noise, no WebGPU';
}

/** `rgb` is base64. */
export type Outcome =
  | { width: number; height: number; rgb: string }
  | { code: string; message: string; param: string | undefined };

/** Firefox with `privacy.resistFingerprinting`, as it was seen in 153. */
function addNoise(): void {
  const { getImageData } = OffscreenCanvasRenderingContext2D.prototype;
  OffscreenCanvasRenderingContext2D.prototype.getImageData = function (...args) {
    const image = getImageData.apply(this, args);
    for (let at = 0; at < image.data.length; at++) image.data[at] = Math.random() * 256;
    return image;
  };
}

async function decode({ bytes, maxPixels, browser }: Order): Promise<Outcome> {
  if (browser !== 'usual') Reflect.deleteProperty(globalThis, 'VideoFrame');
  if (browser.startsWith('noise')) addNoise();
  if (browser === 'noise, no WebGPU') Object.defineProperty(navigator, 'gpu', { value: undefined });
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
