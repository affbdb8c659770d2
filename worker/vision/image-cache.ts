import type { decodePicture, PicturePart } from './image-decoder.ts';
import type { Rgb } from './resample.ts';
import type { Size } from '../families/idefics3/idefics3-tiles.ts';

/** Pictures that are remembered, at some 200 bytes each. */
const MOST = 256;

/** What a picture is known by. */
export interface Identity extends Size {
  /** SHA-256 of its pixels, as text. The pixels count, not the file, so the same picture in another file is known again. */
  hash: string;
}

/**
 * Identifies pictures, by their files where those were decoded before: every question about a picture brings its file
 * again, and to decode 12 megapixels and hash them takes half a second, to hash a JPEG of them some milliseconds.
 * SHA-256 is native, and no one can make two pictures that share one.
 */
export class KnownPictures {
  readonly #decode: typeof decodePicture;
  /** By their files' SHA-256, the least recently seen first. */
  readonly #known = new Map<string, Identity>();

  constructor(decode: typeof decodePicture) {
    this.#decode = decode;
  }

  /**
   * What a picture is known by, and its pixels if it had to be decoded for that.
   *
   * @param remember whether to know the file the next time; if not, it is forgotten
   * @throws NearsightError `unreadable_image` as `decode` does
   */
  async identify(
    part: PicturePart,
    maxPixels: number,
    remember: boolean,
  ): Promise<{ identity: Identity; image?: Rgb }> {
    const file = await sha256(part.bytes);
    const known = this.#known.get(file);
    this.#known.delete(file);
    if (known && remember && known.width * known.height <= maxPixels) {
      this.#known.set(file, known);
      return { identity: known };
    }
    const image = await this.#decode(part, maxPixels);
    const { width, height, data } = image;
    const identity = { width, height, hash: await sha256(data) };
    if (remember) this.#known.set(file, identity);
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= MOST) break;
      this.#known.delete(oldest);
    }
    return { identity, image };
  }

  forget(): void {
    this.#known.clear();
  }
}

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
