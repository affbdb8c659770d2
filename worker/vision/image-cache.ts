import { sha256 } from '../../src/bytes/sha256.ts';
import type { Rgb, Size } from '../backend/image-splitter.ts';
import type { decodeImage, ImagePart } from './image-decoder.ts';

/** Identities in the cache, some 200 bytes each. */
const MAX_ENTRIES = 256;

/** Decoded pixels of one request that are kept until they are split (192 MiB); images beyond are decoded again then. */
const MAX_KEPT_PIXELS = 64 << 20;

interface Identity extends Size {
  /** SHA-256 of the pixels, not of the file, so that the same image in another file has the same hash. */
  hash: string;
}

/** An image whose pixels are kept until they are asked for, or decoded again. */
export interface IdentifiedImage extends Identity {
  detail: ImagePart['detail'];
  /** @throws NearsightError `unreadable_image` if decoding it again fails */
  pixels(): Promise<Rgb>;
}

/**
 * Identifies images by a hash of their pixels, and caches it by a hash of the file. Every question about an image brings
 * its file again; to decode and hash 12 megapixels takes half a second, to hash their JPEG a few milliseconds. SHA-256 is
 * native, and nobody can make two images that collide.
 */
export class ImageCache {
  readonly #decode: typeof decodeImage;
  /** By the file's SHA-256, least recently used first. */
  readonly #identities = new Map<string, Identity>();

  constructor(decode: typeof decodeImage) {
    this.#decode = decode;
  }

  /**
   * Identifies the images of a request.
   *
   * @param useCache false: identities are neither read from the cache nor kept in it
   * @throws NearsightError `unreadable_image` with the part's `param`
   */
  async identify(
    parts: readonly ImagePart[],
    maxPixels: number,
    useCache: boolean,
    signal: AbortSignal,
  ): Promise<IdentifiedImage[]> {
    const images: IdentifiedImage[] = [];
    let freePixels = MAX_KEPT_PIXELS;
    for (const part of parts) {
      signal.throwIfAborted();
      const { image, ...identity } = await this.#identify(part, maxPixels, useCache);
      const size = identity.width * identity.height;
      let kept = size <= freePixels ? image : undefined;
      if (kept) freePixels -= size;
      const pixels = async (): Promise<Rgb> => {
        const given = kept;
        // They are used once, and this stays until the answer ends.
        kept = undefined;
        return given ?? (await this.#decode(part, maxPixels));
      };
      images.push({ ...identity, detail: part.detail, pixels });
    }
    return images;
  }

  forget(): void {
    this.#identities.clear();
  }

  /** The identity, with the pixels if they had to be decoded. */
  async #identify(part: ImagePart, maxPixels: number, useCache: boolean): Promise<Identity & { image?: Rgb }> {
    const file = await sha256(part.bytes);
    const cached = this.#identities.get(file);
    this.#identities.delete(file);
    if (cached && useCache && cached.width * cached.height <= maxPixels) {
      this.#identities.set(file, cached);
      return cached;
    }
    const image = await this.#decode(part, maxPixels);
    const { width, height, data } = image;
    const identity = { width, height, hash: await sha256(data) };
    if (useCache) this.#identities.set(file, identity);
    for (const oldest of this.#identities.keys()) {
      if (this.#identities.size <= MAX_ENTRIES) break;
      this.#identities.delete(oldest);
    }
    return { ...identity, image };
  }
}
