import type { Tensor } from '../onnx/ort.ts';

/** Fills the decoder's input on the GPU, from token ids, image features, or the id that was sampled last. */
export interface Embedder {
  /** Elements of a row. */
  readonly width: number;
  /** The decoder's input: as many rows as it is ever given at once, float32. */
  readonly embeddings: GPUBuffer;
  /** Index of the last position that has been read, int32: the other thing that each step changes. */
  readonly last: GPUBuffer;
  /** How many buffers are held. */
  readonly buffers: number;
  /** Writes the embeddings of `ids` to the first rows of the input. */
  embedTokens(encoder: GPUCommandEncoder, ids: Int32Array<ArrayBuffer>): void;
  /**
   * Copies `count` rows of features, from `row` on, over those of the input that start at `at`.
   *
   * @throws NearsightError `load_failed` if they are not what the decoder takes
   */
  copyRows(encoder: GPUCommandEncoder, features: Tensor, row: number, count: number, at: number): void;
  /** Writes the embedding of the id that was sampled last to the first row of the input, and counts the position. */
  embedSampled(pass: GPUComputePassEncoder): void;
  /** Says how many positions have been read. */
  setLength(length: number): void;
  /** Leaves nothing of a prompt in the input, nor its ids. */
  clear(encoder: GPUCommandEncoder): void;
  close(): void;
}
