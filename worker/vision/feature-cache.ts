import type { Tensor } from '../onnx/ort.ts';
import { elementBytes, release } from '../onnx/tensor.ts';

/** About 440 crops of SmolVLM, with 64 rows of 576 floats each. */
const MAX_BYTES = 64 << 20;

/** Features of recently encoded images, for further questions about them. */
export class FeatureCache {
  /** By the image's key, least recently used first. */
  readonly #features = new Map<string, readonly Tensor[]>();

  /** An image's features; marks them as used. */
  get(key: string): readonly Tensor[] | undefined {
    const features = this.#features.get(key);
    if (features) this.set(key, features);
    return features;
  }

  set(key: string, features: readonly Tensor[]): void {
    this.#features.delete(key);
    this.#features.set(key, features);
  }

  /**
   * Evicts the least recently used features over the limit. Must not be called while features are in use.
   *
   * @returns true if any were evicted
   */
  trim(maxBytes = MAX_BYTES): boolean {
    const before = this.#features.size;
    for (const key of this.#features.keys()) {
      if (this.#bytes <= maxBytes) break;
      this.forget([{ key }]);
    }
    return this.#features.size < before;
  }

  /** Releases the features of these images; by default, of all. */
  forget(images: readonly { key: string }[] = [...this.#features.keys()].map((key) => ({ key }))): void {
    for (const { key } of images) {
      this.#features.get(key)?.forEach(release);
      this.#features.delete(key);
    }
  }

  get #bytes(): number {
    return [...this.#features.values()].flat().reduce((sum, { size, type }) => sum + size * elementBytes(type), 0);
  }
}
