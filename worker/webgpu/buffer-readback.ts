import { COPY_DST, COPY_SRC, MAP_READ, MODE_READ } from './buffer-usage.ts';
import { submit } from './kernel.ts';

/**
 * Reads bytes back from the GPU through a staging buffer that is kept between reads. Growing it is the only allocation.
 */
export class Readback {
  readonly #device: GPUDevice;
  #staging: GPUBuffer | undefined;

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** Bytes [offset, offset + size) of a buffer, after all submitted work. One read at a time. */
  async read(buffer: GPUBuffer, offset: number, size: number): Promise<ArrayBuffer> {
    // WebGPU copies whole words only; half-precision rows may end within one. All buffers, onnxruntime's too, end with a
    // whole word.
    const before = offset % 4;
    const whole = Math.ceil((before + size) / 4) * 4;
    const staging = this.#reserve(whole);
    submit(this.#device, (encoder) => encoder.copyBufferToBuffer(buffer, offset - before, staging, 0, whole));
    await staging.mapAsync(MODE_READ, 0, whole);
    const bytes = staging.getMappedRange(0, whole).slice(before, before + size);
    staging.unmap();
    return bytes;
  }

  /** Number of buffers held. */
  get buffers(): number {
    return this.#staging ? 1 : 0;
  }

  close(): void {
    this.#staging?.destroy();
    this.#staging = undefined;
  }

  #reserve(size: number): GPUBuffer {
    if (this.#staging && this.#staging.size >= size) return this.#staging;
    this.#staging?.destroy();
    return (this.#staging = this.#device.createBuffer({ label: 'readback', size, usage: MAP_READ | COPY_DST }));
  }
}

/** Milliseconds that a readback takes when the GPU is idle. */
export async function readbackLatency(device: GPUDevice): Promise<number> {
  const readback = new Readback(device);
  const source = device.createBuffer({ label: 'latency', size: 16, usage: COPY_SRC });
  // The first read waits for earlier work, and for Firefox's next poll of the GPU.
  await readback.read(source, 0, 16);
  const started = performance.now();
  await readback.read(source, 0, 16);
  const took = performance.now() - started;
  source.destroy();
  readback.close();
  return took;
}
