import type { Crops, ImageSplitter, Rgb, Size, SplitPlan } from '../backend/image-splitter.ts';
import { COPY_DST, COPY_SRC, STORAGE, UNIFORM } from './buffer-usage.ts';
import { bind, compile, dispatch, submit } from './kernel.ts';
import { levelTables } from '../vision/cpu-image-splitter.ts';
import { kernelFor, resize, isVerticalFirst } from '../vision/resample.ts';
import { CROP, RESAMPLE, WORKGROUP_SIZE } from './shaders/split-image.ts';

/** Images are uploaded in bands of rows, so that a large one is never whole in GPU memory. */
const BAND_BYTES = 16 << 20;

/** An image on the GPU, one word a pixel. */
interface Plane extends Size {
  buffer: GPUBuffer;
}

/**
 * Splits images on the GPU, to the same bits as `worker/vision/cpu-image-splitter.ts`. Pixels are uploaded from
 * JavaScript, not from a texture: they must be exact, and JavaScript needs them to hash the image.
 */
export class GpuImageSplitter implements ImageSplitter {
  readonly #device: GPUDevice;
  readonly #resample: GPUComputePipeline;
  readonly #crop: GPUComputePipeline;

  constructor(device: GPUDevice) {
    this.#device = device;
    this.#resample = compile(device, device.createShaderModule({ label: 'resample', code: RESAMPLE }), 'resample');
    this.#crop = compile(device, device.createShaderModule({ label: 'crop', code: CROP }), 'cut_out');
  }

  split(image: Rgb, plan: SplitPlan): Crops {
    const scratch = new Scratch(this.#device, this.#resample);
    const planes: Plane[] = [];
    let table: GPUBuffer;
    try {
      for (const size of plan.resizes) planes.push(scratch.resize(planes.at(-1) ?? scratch.upload(image, size), size));
      const levels = Float32Array.from(levelTables(plan).flatMap((values) => [...values]));
      table = scratch.fill('levels', STORAGE, levels);
    } catch (error) {
      scratch.close();
      throw error;
    }
    const { cropSize } = plan;
    let result: GPUBuffer | undefined;
    let before: Promise<void> | undefined;
    return {
      batch: async (first, count) => {
        await before;
        before = this.#device.queue.onSubmittedWorkDone();
        // The first batch is the largest. onnxruntime needs all three usages.
        result ??= scratch.buffer('crops', STORAGE | COPY_SRC | COPY_DST, count * 3 * cropSize ** 2 * 4);
        for (const [index, crop] of plan.crops.slice(first, first + count).entries()) {
          const plane = planes[crop.resize]!;
          const uniforms = Uint32Array.of(cropSize, plane.width, crop.left, crop.top, index);
          scratch.run(this.#crop, uniforms, [plane.buffer, table, result], cropSize, cropSize);
        }
        return result;
      },
      close: () => scratch.close(),
    };
  }
}

/** The buffers of one image, and the passes that fill them. */
class Scratch {
  readonly #device: GPUDevice;
  readonly #resample: GPUComputePipeline;
  readonly #buffers: GPUBuffer[] = [];

  constructor(device: GPUDevice, resample: GPUComputePipeline) {
    this.#device = device;
    this.#resample = resample;
  }

  /** Uploads an image band by band, scaled to this width unless the vertical pass is first. */
  upload(image: Rgb, scale: Size): Plane {
    const width = isVerticalFirst(image, scale.height) ? image.width : scale.width;
    // An image may be larger than the binding that every adapter supports: it is then resized on the CPU.
    if (width * image.height * 4 > this.#device.limits.maxStorageBufferBindingSize) {
      const small = resize(image, scale.width, scale.height);
      return this.upload(small, small);
    }
    const rowBytes = image.width * 3;
    // Multiples of four rows end at a whole word.
    const rows = Math.min(Math.max(Math.floor(BAND_BYTES / rowBytes / 4), 1) * 4, image.height);
    const source = this.buffer('band', STORAGE | COPY_DST, Math.ceil((rows * rowBytes) / 4) * 4);
    const plane = this.#plane({ width, height: image.height });
    const kernels = this.#kernels(image.width, width);
    for (let top = 0; top < image.height; top += rows) {
      const count = Math.min(rows, image.height - top);
      this.#device.queue.writeBuffer(source, 0, words(image.data, top * rowBytes, count * rowBytes));
      this.#pass(source, kernels, plane, { vertical: 0, step: 1, line: image.width, top, height: count, triples: 1 });
    }
    return plane;
  }

  /** As `resize` in `worker/vision/resample.ts`. */
  resize(plane: Plane, { width, height }: Size): Plane {
    const first = isVerticalFirst(plane, height) ? this.#resize(plane, 'height', height) : plane;
    return this.#resize(this.#resize(first, 'width', width), 'height', height);
  }

  /** A buffer with these contents. */
  fill(label: string, usage: number, data: Uint32Array | Int32Array | Float32Array): GPUBuffer {
    const buffer = this.buffer(label, usage | COPY_DST, data.byteLength);
    this.#device.queue.writeBuffer(buffer, 0, data);
    return buffer;
  }

  /** Runs a shader for each pixel of a result of this size. */
  run(pipeline: GPUComputePipeline, uniforms: Uint32Array, buffers: GPUBuffer[], width: number, height: number): void {
    const bound = bind(this.#device, pipeline, [this.fill('uniforms', UNIFORM, uniforms), ...buffers]);
    submit(this.#device, (encoder) => {
      const pass = encoder.beginComputePass();
      dispatch(pass, bound, Math.ceil(width / WORKGROUP_SIZE), Math.ceil(height / WORKGROUP_SIZE));
      pass.end();
    });
  }

  /** Destroys all buffers. */
  close(): void {
    for (const buffer of this.#buffers) buffer.destroy();
  }

  #resize(from: Plane, edge: keyof Size, to: number): Plane {
    if (to === from[edge]) return from;
    const plane = this.#plane({ ...from, [edge]: to });
    const axis =
      edge === 'width' ? { vertical: 0, step: 1, line: from.width } : { vertical: 1, step: from.width, line: 1 };
    this.#pass(from.buffer, this.#kernels(from[edge], to), plane, axis);
    return plane;
  }

  #pass(source: GPUBuffer, { buffer, samples, stride }: Kernels, to: Plane, axis: Axis): void {
    const { vertical, step, line, top = 0, height = to.height, triples = 0 } = axis;
    const uniforms = Uint32Array.of(to.width, height, top, vertical, step, line, samples, stride, triples);
    this.run(this.#resample, uniforms, [source, buffer, to.buffer], to.width, height);
  }

  #kernels(from: number, samples: number): Kernels {
    const { first, length, weights, stride } = kernelFor(from, samples);
    const data = new Int32Array(2 * samples + weights.length);
    for (let i = 0; i < samples; i++) data.set([first[i] ?? 0, length[i] ?? 0], 2 * i);
    data.set(weights, 2 * samples);
    return { buffer: this.fill('kernels', STORAGE, data), samples, stride };
  }

  #plane(size: Size): Plane {
    return { ...size, buffer: this.buffer('plane', STORAGE, size.width * size.height * 4) };
  }

  /** An empty buffer, destroyed by {@link close}. */
  buffer(label: string, usage: number, size: number): GPUBuffer {
    const buffer = this.#device.createBuffer({ label, size, usage });
    this.#buffers.push(buffer);
    return buffer;
  }
}

/** The weights of one axis, as the shader reads them. */
interface Kernels {
  buffer: GPUBuffer;
  samples: number;
  stride: number;
}

/** How a pass walks through its source, and which rows it writes; default: all. */
interface Axis {
  vertical: number;
  step: number;
  line: number;
  top?: number;
  height?: number;
  triples?: number;
}

/** Bytes padded to whole words, as `writeBuffer` needs; only an image's last band is ever copied. */
function words(data: Uint8Array<ArrayBuffer>, start: number, length: number): Uint8Array<ArrayBuffer> {
  const bytes = data.subarray(start, start + length);
  if (length % 4 === 0) return bytes;
  const padded = new Uint8Array(Math.ceil(length / 4) * 4);
  padded.set(bytes);
  return padded;
}
