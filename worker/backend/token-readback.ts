/** Reads entries of a `TokenSampler`'s ring back in batches, in order, while the GPU works on. */
export interface TokenReadback {
  /** Number of buffers held. */
  readonly buffers: number;
  /** Number of batches in flight or received, but not taken. */
  readonly pending: number;
  /** Whether another batch may be sent. */
  readonly hasFreeBuffer: boolean;
  /** Encodes a copy of the entries of tokens [from, to). Submit the encoder, then call {@link send}. */
  copy(encoder: GPUCommandEncoder, ring: GPUBuffer, from: number, to: number, entryBytes: number): void;
  /** Requests the batch that was copied, if any. */
  send(): void;
  /** Resolves when the oldest batch is received or has failed; without any, when one that was abandoned has. */
  oldest(): Promise<void>;
  /** The words of the oldest batch, if it is received. @throws the error that its readback failed with */
  take(): Uint32Array | undefined;
  /** Discards all batches that were not taken. */
  abandon(): void;
  close(): void;
}
