import { RING_SLOTS } from './sampling.ts';
import { COPY_DST, MAP_READ, MODE_READ } from './usage.ts';

/** Readbacks that may be on their way at once. */
const MOST_PENDING = 8;

/** Ring entries on their way. */
interface Lot {
  buffer: GPUBuffer;
  bytes: number;
  state: 'pending' | 'here' | 'failed';
  error?: unknown;
  /** Resolves when the bytes are here, or cannot come. */
  settled?: Promise<void>;
}

/** Brings ring entries from the GPU to JavaScript, several lots at a time, in order, while the GPU works on. */
export class Arrivals {
  readonly buffers = MOST_PENDING;
  readonly #free: GPUBuffer[];
  readonly #pending: Lot[] = [];
  #copied: Lot | undefined;

  constructor(device: GPUDevice, ringBytes: number) {
    const descriptor = { label: 'arrivals', size: ringBytes, usage: MAP_READ | COPY_DST };
    this.#free = Array.from({ length: MOST_PENDING }, () => device.createBuffer(descriptor));
  }

  /** How many lots are on their way, or here and not taken. */
  get pending(): number {
    return this.#pending.length;
  }

  /** Whether another lot may be sent. */
  get room(): boolean {
    return this.#free.length > 0;
  }

  /** Copies the entries of draws [from, to) as they are at this point of the encoder. Then submit, then {@link send}. */
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

  /** Asks for what was copied, if something was. */
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

  /** Resolves when the oldest lot is here, or has failed. */
  async oldest(): Promise<void> {
    await this.#pending[0]?.settled;
  }

  /** The words of the oldest lot, if it is here. @throws what mapping it failed with */
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

  /** Gives up on all lots that have not been taken. */
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
