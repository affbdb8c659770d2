import type { Tensor } from '../onnx/ort.ts';

/** Writes the decoder's input on the GPU: embeddings of token ids or of the sampled token, and image features. */
export interface Embedder {
  /** Elements of a row. */
  readonly width: number;
  /** The decoder's input, float32, for the maximum number of rows. */
  readonly embeddings: GPUBuffer;
  /** Index of the last position read, int32. Each step increments it. */
  readonly lastPosition: GPUBuffer;
  /** Number of positions, int32: one more than {@link lastPosition}. */
  readonly totalLength: GPUBuffer;
  /** Number of buffers held. */
  readonly buffers: number;
  /** Writes the embeddings of `ids` to the first rows of the input. */
  embedTokens(encoder: GPUCommandEncoder, ids: Int32Array<ArrayBuffer>): void;
  /**
   * Copies `count` rows of features, from `row` on, over the rows of the input that start at `at`.
   *
   * @throws NearsightError `load_failed` if their type or width is not the decoder's
   */
  copyRows(encoder: GPUCommandEncoder, features: Tensor, row: number, count: number, at: number): void;
  /** Writes the embedding of the sampled token to the first row of the input, and counts its position. */
  embedSampled(pass: GPUComputePassEncoder): void;
  /** Sets the number of positions read. */
  setLength(length: number): void;
  /** Erases the prompt's embeddings and ids. */
  clear(encoder: GPUCommandEncoder): void;
  close(): void;
}
