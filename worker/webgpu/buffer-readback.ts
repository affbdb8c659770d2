import { COPY_DST, COPY_SRC, MAP_READ, MODE_READ } from './buffer-usage.ts';

/**
 * Brings bytes from the GPU to JavaScript through a staging buffer that is kept between reads; growing it is the only
 * allocation.
 */
export class Readback {
  readonly #device: GPUDevice;
  #staging: GPUBuffer | undefined;

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** Bytes [offset, offset + size) of a buffer, after all that was submitted so far. One read at a time. */
  async read(buffer: GPUBuffer, offset: number, size: number): Promise<ArrayBuffer> {
    // Copies go by whole words, and rows of halves may end within one. All buffers here and onnxruntime's end with a word.
    const before = offset % 4;
    const whole = Math.ceil((before + size) / 4) * 4;
    const staging = this.#room(whole);
    const encoder = this.#device.createCommandEncoder();
    encoder.copyBufferToBuffer(buffer, offset - before, staging, 0, whole);
    this.#device.queue.submit([encoder.finish()]);
    await staging.mapAsync(MODE_READ, 0, whole);
    const bytes = staging.getMappedRange(0, whole).slice(before, before + size);
    staging.unmap();
    return bytes;
  }

  /** How many buffers are held. */
  get buffers(): number {
    return this.#staging ? 1 : 0;
  }

  close(): void {
    this.#staging?.destroy();
    this.#staging = undefined;
  }

  #room(size: number): GPUBuffer {
    if (this.#staging && this.#staging.size >= size) return this.#staging;
    this.#staging?.destroy();
    this.#staging = this.#device.createBuffer({
      label: 'readback',
      size,
      usage: MAP_READ | COPY_DST,
    });
    return this.#staging;
  }
}

/** Milliseconds that bringing bytes here takes when the GPU has nothing else to do. */
export async function readbackLatency(device: GPUDevice): Promise<number> {
  const readback = new Readback(device);
  const source = device.createBuffer({ label: 'latency', size: 16, usage: COPY_SRC });
  // The first waits for whatever was submitted before, and for the next of the times at which Firefox looks.
  await readback.read(source, 0, 16);
  const started = performance.now();
  await readback.read(source, 0, 16);
  const took = performance.now() - started;
  source.destroy();
  readback.close();
  return took;
}
