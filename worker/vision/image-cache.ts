import type { Rgb, Size } from '../backend/image-splitter.ts';
import type { decodeImage, ImagePart } from './image-decoder.ts';

/** Images that are remembered, at some 200 bytes each. */
const MOST = 256;

/** Decoded pixels of one request that are kept until they are needed (192 MiB); images beyond are decoded again there. */
const KEPT_PIXELS = 64 << 20;

interface Identity extends Size {
  /** SHA-256 of its pixels, as text. The pixels count, not the file, so the same image in another file is known again. */
  hash: string;
}

/** An image whose pixels are there when they are needed. */
export interface IdentifiedImage extends Identity {
  detail: ImagePart['detail'];
  /** @throws NearsightError `unreadable_image`: of many large images the pixels are not all kept */
  pixels(): Promise<Rgb>;
}

/**
 * Identifies images, by their files where those were decoded before: every question about an image brings its file
 * again, and to decode 12 megapixels and hash them takes half a second, to hash a JPEG of them some milliseconds.
 * SHA-256 is native, and no one can make two images that share one.
 */
export class ImageCache {
  readonly #decode: typeof decodeImage;
  /** By their files' SHA-256, the least recently seen first. */
  readonly #known = new Map<string, Identity>();

  constructor(decode: typeof decodeImage) {
    this.#decode = decode;
  }

  /**
   * Identifies the images of a request.
   *
   * @param remember whether to know the files the next time; if not, they are forgotten
   * @throws NearsightError `unreadable_image` with the part's `param`
   */
  async identify(
    parts: readonly ImagePart[],
    maxPixels: number,
    remember: boolean,
    signal: AbortSignal,
  ): Promise<IdentifiedImage[]> {
    const images: IdentifiedImage[] = [];
    let room = KEPT_PIXELS;
    for (const part of parts) {
      signal.throwIfAborted();
      const { image, ...identity } = await this.#identify(part, maxPixels, remember);
      const size = identity.width * identity.height;
      const kept = size <= room ? image : undefined;
      if (kept) room -= size;
      const pixels = async (): Promise<Rgb> => kept ?? (await this.#decode(part, maxPixels));
      images.push({ ...identity, detail: part.detail, pixels });
    }
    return images;
  }

  forget(): void {
    this.#known.clear();
  }

  /** The identity, and the pixels if they had to be decoded for that. */
  async #identify(part: ImagePart, maxPixels: number, remember: boolean): Promise<Identity & { image?: Rgb }> {
    const file = await sha256(part.bytes);
    const known = this.#known.get(file);
    this.#known.delete(file);
    if (known && remember && known.width * known.height <= maxPixels) {
      this.#known.set(file, known);
      return known;
    }
    const image = await this.#decode(part, maxPixels);
    const { width, height, data } = image;
    const identity = { width, height, hash: await sha256(data) };
    if (remember) this.#known.set(file, identity);
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= MOST) break;
      this.#known.delete(oldest);
    }
    return { ...identity, image };
  }
}

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
