// A worker with only the image decoder. `image-decoder.test.ts` builds and serves it, because the package does not export
// decoded pixels.
import { NearsightError } from '../../../src/protocol/errors.ts';
import { decodeImage } from '../../../worker/vision/image-decoder.ts';

interface Order {
  bytes: Uint8Array<ArrayBuffer>;
  maxPixels: number;
  /** False: like a browser without WebCodecs. */
  videoFrame: boolean;
}

/** `rgb` is base64. */
export type Outcome =
  | { width: number; height: number; rgb: string }
  | { code: string; message: string; param: string | undefined };

async function decode({ bytes, maxPixels, videoFrame }: Order): Promise<Outcome> {
  if (!videoFrame) Reflect.deleteProperty(globalThis, 'VideoFrame');
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
