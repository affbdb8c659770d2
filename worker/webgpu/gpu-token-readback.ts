import type { TokenReadback } from '../backend/token-readback.ts';
import { RING_SLOTS } from '../backend/token-sampler.ts';
import { COPY_DST, MAP_READ, MODE_READ } from './buffer-usage.ts';

/** Maximum number of batches in flight. */
const MAX_PENDING = 8;

/** Ring entries that are read back together. */
interface Batch {
  buffer: GPUBuffer;
  bytes: number;
  /** Absent while the batch is in flight. */
  result?: 'received' | { error: unknown };
  /** Resolves when the batch is received or has failed. */
  settled?: Promise<void>;
}

/** Reads batches back through several staging buffers, one for each batch in flight. */
export class GpuTokenReadback implements TokenReadback {
  readonly buffers = MAX_PENDING;
  readonly #freeBuffers: GPUBuffer[];
  readonly #pending: Batch[] = [];
  /** Those that nobody takes any more, as long as they are in flight. */
  readonly #discarded = new Set<Batch>();
  #copied: Batch | undefined;

  constructor(device: GPUDevice, ringBytes: number) {
    const descriptor = { label: 'token readback', size: ringBytes, usage: MAP_READ | COPY_DST };
    this.#freeBuffers = Array.from({ length: MAX_PENDING }, () => device.createBuffer(descriptor));
  }

  get pending(): number {
    return this.#pending.length;
  }

  get hasFreeBuffer(): boolean {
    return this.#freeBuffers.length > 0;
  }

  copy(encoder: GPUCommandEncoder, ring: GPUBuffer, from: number, to: number, entryBytes: number): void {
    const buffer = this.#freeBuffers.pop();
    if (!buffer) throw new RangeError('No staging buffer is free.');
    let bytes = 0;
    for (let token = from; token < to;) {
      const slot = token % RING_SLOTS;
      const count = Math.min(to - token, RING_SLOTS - slot);
      encoder.copyBufferToBuffer(ring, slot * entryBytes, buffer, bytes, count * entryBytes);
      bytes += count * entryBytes;
      token += count;
    }
    this.#copied = { buffer, bytes };
  }

  send(): void {
    const batch = this.#copied;
    if (!batch) return;
    this.#copied = undefined;
    this.#pending.push(batch);
    // Never rejects: nobody may be waiting for a batch that is abandoned or lost with its device.
    batch.settled = batch.buffer.mapAsync(MODE_READ, 0, batch.bytes).then(
      () => void (batch.result = 'received'),
      (error: unknown) => void (batch.result = { error }),
    );
  }

  async oldest(): Promise<void> {
    const [discarded] = this.#discarded;
    await (this.#pending[0] ?? discarded)?.settled;
  }

  take(): Uint32Array | undefined {
    const [batch] = this.#pending;
    if (!batch?.result) return undefined;
    if (batch.result !== 'received') throw batch.result.error;
    this.#pending.shift();
    const words = new Uint32Array(batch.buffer.getMappedRange(0, batch.bytes).slice(0));
    batch.buffer.unmap();
    this.#freeBuffers.push(batch.buffer);
    return words;
  }

  /** A buffer is free once it is mapped: Firefox crashed at times where a mapping was cancelled and started again at once. */
  abandon(): void {
    for (const batch of this.#pending.splice(0)) {
      this.#discarded.add(batch);
      void batch.settled?.then(() => {
        if (!this.#discarded.delete(batch)) return;
        batch.buffer.unmap();
        this.#freeBuffers.push(batch.buffer);
      });
    }
  }

  close(): void {
    for (const { buffer } of [...this.#pending.splice(0), ...this.#discarded]) buffer.destroy();
    this.#discarded.clear();
    for (const buffer of this.#freeBuffers) buffer.destroy();
  }
}
