import { NearsightError } from '../../src/wire/error.ts';
import type { Ort, Tensor } from '../onnx/ort.ts';
import { release, type Session } from '../onnx/session.ts';
import type { Picture } from '../families/processor.ts';
import { pause } from '../decode/pause.ts';
import { cpuViews, pixelTensor, type ViewMaker } from './cpu-image-splitter.ts';

/** Features of earlier pictures are kept up to this: about 440 views of SmolVLM's, at 64 rows of 576 floats each. */
const KEPT_BYTES = 64 << 20;

interface Encoded {
  /** [views, rows, hidden] each, in order. */
  features: Tensor[];
  bytes: number;
}

/** The vision encoder: pictures to features, which are kept for when the same picture is asked about again. */
export class Vision {
  readonly #ort: Ort;
  readonly #session: Session;
  readonly #framesPerRun: (size: number) => number;
  readonly #views: ViewMaker;
  /** By the picture's key, the least recently used first. */
  readonly #kept = new Map<string, Encoded>();

  /**
   * @param framesPerRun how many views of this edge, in pixels, fit in one run
   * @param views makes them; by default in memory
   */
  constructor(ort: Ort, session: Session, framesPerRun: (size: number) => number, views: ViewMaker = cpuViews) {
    for (const [name, { type }] of session.inputs) {
      if (PORTS.get(name) === type) continue;
      throw new NearsightError(
        'load_failed',
        `The vision encoder has an input that nearsight does not know: ${name} (${type}).`,
      );
    }
    this.#ort = ort;
    this.#session = session;
    this.#framesPerRun = framesPerRun;
    this.#views = views;
  }

  /** The features of all the pictures' views, in order. They stay valid until {@link trim} or {@link forget}. */
  async encode(pictures: readonly Picture[], signal: AbortSignal): Promise<Tensor[]> {
    const features: Tensor[] = [];
    for (const picture of pictures) {
      const encoded = this.#kept.get(picture.key) ?? (await this.#run(picture, signal));
      this.#kept.delete(picture.key);
      this.#kept.set(picture.key, encoded);
      features.push(...encoded.features);
    }
    return features;
  }

  /**
   * Drops the oldest features beyond what may be kept. Call it while none are in use.
   *
   * @returns whether there were any
   */
  trim(bytes = KEPT_BYTES): boolean {
    let total = 0;
    for (const encoded of this.#kept.values()) total += encoded.bytes;
    const dropped = total > bytes;
    for (const [key, encoded] of this.#kept) {
      if (total <= bytes) break;
      encoded.features.forEach(release);
      this.#kept.delete(key);
      total -= encoded.bytes;
    }
    return dropped;
  }

  /** Leaves nothing behind of these pictures; by default, of any. */
  forget(pictures: readonly Pick<Picture, 'key'>[] = [...this.#kept.keys()].map((key) => ({ key }))): void {
    for (const { key } of pictures) {
      this.#kept.get(key)?.features.forEach(release);
      this.#kept.delete(key);
    }
  }

  async #run(picture: Picture, signal: AbortSignal): Promise<Encoded> {
    const { frames, size } = picture;
    const views = await this.#views.open(picture, signal);
    const features: Tensor[] = [];
    const step = this.#framesPerRun(size);
    try {
      for (let first = 0; first < frames; first += step) {
        await pause(signal);
        const count = Math.min(step, frames - first);
        features.push(await encodeBatch(this.#ort, this.#session, await views.batch(first, count), count, size));
      }
    } catch (error) {
      features.forEach(release);
      throw error;
    } finally {
      views.close();
    }
    const rows = features.reduce((sum, { dims }) => sum + dims.slice(0, -1).reduce((a, b) => a * b, 1), 0);
    if (rows !== picture.tokens) {
      features.forEach(release);
      throw new NearsightError('internal', `The vision encoder gave ${rows} rows for ${picture.tokens} image tokens.`);
    }
    return { features, bytes: features.reduce((sum, { size: elements }) => sum + elements * 4, 0) };
  }
}

/** The features of some views, all run at once. The caller must release them. */
export async function encodeBatch(
  ort: Ort,
  session: Session,
  values: Float32Array | GPUBuffer,
  count: number,
  size: number,
): Promise<Tensor> {
  const feeds: Record<string, Tensor> = { pixel_values: pixelTensor(ort, values, count, size) };
  if (session.inputs.has('pixel_attention_mask')) {
    // Every view is filled: the reference pads only to put pictures with different numbers of views in one batch.
    const mask = new Uint8Array(count * size * size).fill(1);
    feeds['pixel_attention_mask'] = new ort.Tensor('bool', mask, [1, count, size, size]);
  }
  const { image_features: features } = await session.run(feeds);
  if (!features) throw new NearsightError('internal', 'The vision encoder gave no image_features.');
  return features;
}

const PORTS: ReadonlyMap<string, Tensor.Type> = new Map([
  ['pixel_values', 'float32'],
  ['pixel_attention_mask', 'bool'],
]);
