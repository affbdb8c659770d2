import type { TokenReadback } from '../backend/token-readback.ts';
import { RING_SLOTS } from '../backend/token-sampler.ts';
import { COPY_DST, MAP_READ, MODE_READ } from './buffer-usage.ts';

/** Readbacks that may be on their way at once. */
const MAX_PENDING = 8;

/** Ring entries on their way. */
interface Batch {
  buffer: GPUBuffer;
  bytes: number;
  state: 'pending' | 'here' | 'failed';
  error?: unknown;
  /** Resolves when the bytes are here, or cannot come. */
  settled?: Promise<void>;
}

/** Several lots of ring entries may be on their way, each in a staging buffer of its own. */
export class GpuTokenReadback implements TokenReadback {
  readonly buffers = MAX_PENDING;
  readonly #free: GPUBuffer[];
  readonly #pending: Batch[] = [];
  #copied: Batch | undefined;

  constructor(device: GPUDevice, ringBytes: number) {
    const descriptor = { label: 'arrivals', size: ringBytes, usage: MAP_READ | COPY_DST };
    this.#free = Array.from({ length: MAX_PENDING }, () => device.createBuffer(descriptor));
  }

  get pending(): number {
    return this.#pending.length;
  }

  get hasFreeBuffer(): boolean {
    return this.#free.length > 0;
  }

  copy(encoder: GPUCommandEncoder, ring: GPUBuffer, from: number, to: number, entryBytes: number): void {
    const buffer = this.#free.pop();
    if (!buffer) throw new RangeError('No staging buffer is free.');
    let at = 0;
    for (let draw = from; draw < to;) {
      const slot = draw % RING_SLOTS;
      const count = Math.min(to - draw, RING_SLOTS - slot);
      encoder.copyBufferToBuffer(ring, slot * entryBytes, buffer, at, count * entryBytes);
      at += count * entryBytes;
      draw += count;
    }
    this.#copied = { buffer, bytes: at, state: 'pending' };
  }

  send(): void {
    const lot = this.#copied;
    if (!lot) return;
    this.#copied = undefined;
    this.#pending.push(lot);
    // Never rejects: a lot that is abandoned, or dies with its device, has nobody who waits for it.
    lot.settled = lot.buffer.mapAsync(MODE_READ, 0, lot.bytes).then(
      () => {
        lot.state = 'here';
      },
      (error: unknown) => {
        lot.state = 'failed';
        lot.error = error;
      },
    );
  }

  async oldest(): Promise<void> {
    await this.#pending[0]?.settled;
  }

  take(): Uint32Array | undefined {
    const [lot] = this.#pending;
    if (!lot || lot.state === 'pending') return undefined;
    if (lot.state === 'failed') throw lot.error;
    this.#pending.shift();
    const words = new Uint32Array(lot.buffer.getMappedRange(0, lot.bytes).slice(0));
    lot.buffer.unmap();
    this.#free.push(lot.buffer);
    return words;
  }

  abandon(): void {
    for (const { buffer } of this.#pending.splice(0)) {
      buffer.unmap();
      this.#free.push(buffer);
    }
  }

  close(): void {
    this.abandon();
    for (const buffer of this.#free) buffer.destroy();
  }
}
