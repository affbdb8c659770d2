/** Brings entries of a `TokenSampler`'s ring to JavaScript in batches, in order, while the GPU works on. */
export interface TokenReadback {
  /** How many buffers are held. */
  readonly buffers: number;
  /** How many batches are on their way, or here and not taken. */
  readonly pending: number;
  /** Whether another batch may be sent. */
  readonly hasFreeBuffer: boolean;
  /** Copies the entries of draws [from, to) as they are at this point of the encoder. Then submit, then {@link send}. */
  copy(encoder: GPUCommandEncoder, ring: GPUBuffer, from: number, to: number, entryBytes: number): void;
  /** Asks for what was copied, if something was. */
  send(): void;
  /** Resolves when the oldest batch is here, or has failed. */
  oldest(): Promise<void>;
  /** The words of the oldest batch, if it is here. @throws what bringing it failed with */
  take(): Uint32Array | undefined;
  /** Gives up on all batches that have not been taken. */
  abandon(): void;
  close(): void;
}
