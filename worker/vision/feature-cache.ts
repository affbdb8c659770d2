import type { Tensor } from '../onnx/ort.ts';
import { elementBytes, release } from '../onnx/tensor.ts';

/** Features are kept up to this: about 440 crops of SmolVLM's, at 64 rows of 576 floats each. */
const KEPT_BYTES = 64 << 20;

/** Features of the images that were encoded last, for when one of them is asked about again. */
export class FeatureCache {
  /** By the images' keys, the least recently used first. */
  readonly #kept = new Map<string, readonly Tensor[]>();

  /** An image's features, which count as used. */
  get(key: string): readonly Tensor[] | undefined {
    const features = this.#kept.get(key);
    if (features) this.set(key, features);
    return features;
  }

  set(key: string, features: readonly Tensor[]): void {
    this.#kept.delete(key);
    this.#kept.set(key, features);
  }

  /**
   * Drops the oldest features beyond what may be kept. Call it while none are in use.
   *
   * @returns whether there were any
   */
  trim(most = KEPT_BYTES): boolean {
    const before = this.#kept.size;
    for (const key of this.#kept.keys()) {
      if (this.#bytes <= most) break;
      this.forget([{ key }]);
    }
    return this.#kept.size < before;
  }

  /** Leaves nothing behind of these images; by default, of any. */
  forget(images: readonly { key: string }[] = [...this.#kept.keys()].map((key) => ({ key }))): void {
    for (const { key } of images) {
      this.#kept.get(key)?.forEach(release);
      this.#kept.delete(key);
    }
  }

  get #bytes(): number {
    return [...this.#kept.values()].flat().reduce((sum, { size, type }) => sum + size * elementBytes(type), 0);
  }
}
