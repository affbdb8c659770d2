import type {
  CropLayout,
  Crops,
  Filter,
  ImageSplitter,
  Resize,
  Rgb,
  Size,
  SplitPlan,
} from '../backend/image-splitter.ts';
import { COPY_DST, COPY_SRC, STORAGE, UNIFORM } from './buffer-usage.ts';
import { bind, compile, dispatch, submit } from './kernel.ts';
import { levelTables } from '../vision/cpu-image-splitter.ts';
import { type Axis, axesOf, isVerticalFirst, isWhole, kernelFor, resize } from '../vision/resample.ts';
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

  split(image: Rgb, { filter, resizes, crops, cropValues, ...levels }: SplitPlan): Crops {
    const scratch = new Scratch(this.#device, this.#resample, filter);
    const planes: Plane[] = [];
    let table: GPUBuffer;
    try {
      for (const target of resizes) {
        const from = target.ofImage ? undefined : planes.at(-1);
        planes.push(from ? scratch.resize(from, target) : scratch.resizeImage(image, target));
      }
      table = scratch.fill('levels', STORAGE, Float32Array.from(levelTables(levels).flatMap((values) => [...values])));
    } catch (error) {
      scratch.close();
      throw error;
    }
    const offsets = new Map<CropLayout, GPUBuffer>();
    let result: GPUBuffer | undefined;
    let before: Promise<void> | undefined;
    return {
      batch: async (first, count) => {
        await before;
        before = this.#device.queue.onSubmittedWorkDone();
        // The first batch is the largest. onnxruntime needs all three usages.
        const crop = (result ??= scratch.buffer('crops', STORAGE | COPY_SRC | COPY_DST, count * cropValues * 4));
        // A layout that has fewer values leaves others in place from the batch before.
        submit(this.#device, (encoder) => encoder.clearBuffer(crop));
        for (const [index, { resize: at, left, top, layout }] of crops.slice(first, first + count).entries()) {
          const { rows, columns, channelStep, frames, frameStep } = layout;
          const { buffer, width: line } = planes[at]!;
          const [width, height, base] = [columns.length, rows.length, index * cropValues];
          const uniforms = Uint32Array.of(width, height, left, top, line, base, channelStep, frames, frameStep);
          const places = offsets.get(layout) ?? scratch.fill('layout', STORAGE, Uint32Array.of(...rows, ...columns));
          offsets.set(layout, places);
          scratch.run(this.#crop, uniforms, [buffer, table, places, crop], width, height);
        }
        return crop;
      },
      close: () => scratch.close(),
    };
  }
}

/** The buffers of one image, and the passes that fill them. */
class Scratch {
  readonly #device: GPUDevice;
  readonly #resample: GPUComputePipeline;
  readonly #filter: Filter;
  readonly #buffers: GPUBuffer[] = [];

  constructor(device: GPUDevice, resample: GPUComputePipeline, filter: Filter) {
    this.#device = device;
    this.#resample = resample;
    this.#filter = filter;
  }

  /** As {@link resize}, of an image that is not on the GPU. */
  resizeImage(image: Rgb, target: Resize): Plane {
    const { horizontal, vertical } = axesOf(image, target);
    const first = isVerticalFirst(image, target.height) ? whole(image.width) : horizontal;
    // An image may be larger than the binding that every adapter supports: it is then resized on the CPU.
    if (first.count * image.height * 4 > this.#device.limits.maxStorageBufferBindingSize) {
      const small = resize(image, target, this.#filter);
      return this.#upload(small, whole(small.width));
    }
    const plane = this.#upload(image, first);
    return first === horizontal ? this.#resize(plane, 'height', vertical) : this.resize(plane, target);
  }

  /** As `resize` in `worker/vision/resample.ts`. */
  resize(plane: Plane, target: Resize): Plane {
    const { horizontal, vertical } = axesOf(plane, target);
    if (isVerticalFirst(plane, target.height)) {
      return this.#resize(this.#resize(plane, 'height', vertical), 'width', horizontal);
    }
    return this.#resize(this.#resize(plane, 'width', horizontal), 'height', vertical);
  }

  /** Uploads an image band by band, resized along its width. */
  #upload(image: Rgb, axis: Axis): Plane {
    const rowBytes = image.width * 3;
    // Multiples of four rows end at a whole word.
    const rows = Math.min(Math.max(Math.floor(BAND_BYTES / rowBytes / 4), 1) * 4, image.height);
    const source = this.buffer('band', STORAGE | COPY_DST, Math.ceil((rows * rowBytes) / 4) * 4);
    const plane = this.#plane({ width: axis.count, height: image.height });
    const kernels = this.#kernels(axis);
    for (let top = 0; top < image.height; top += rows) {
      const count = Math.min(rows, image.height - top);
      this.#device.queue.writeBuffer(source, 0, words(image.data, top * rowBytes, count * rowBytes));
      this.#pass(source, kernels, plane, { vertical: 0, step: 1, line: image.width, top, height: count, triples: 1 });
    }
    return plane;
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

  #resize(from: Plane, edge: keyof Size, axis: Axis): Plane {
    if (isWhole(axis)) return from;
    const plane = this.#plane({ ...from, [edge]: axis.count });
    const walk =
      edge === 'width' ? { vertical: 0, step: 1, line: from.width } : { vertical: 1, step: from.width, line: 1 };
    this.#pass(from.buffer, this.#kernels(axis), plane, walk);
    return plane;
  }

  #pass(source: GPUBuffer, { buffer, samples, stride }: Kernels, to: Plane, walk: Walk): void {
    const { vertical, step, line, top = 0, height = to.height, triples = 0 } = walk;
    const uniforms = Uint32Array.of(to.width, height, top, vertical, step, line, samples, stride, triples);
    this.run(this.#resample, uniforms, [source, buffer, to.buffer], to.width, height);
  }

  #kernels(axis: Axis): Kernels {
    const samples = axis.count;
    const { first, length, weights, stride } = kernelFor(axis, this.#filter);
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

/** An axis along which nothing changes. */
function whole(edge: number): Axis {
  return { from: edge, to: edge, first: 0, count: edge };
}

/** The weights of one axis, as the shader reads them. */
interface Kernels {
  buffer: GPUBuffer;
  samples: number;
  stride: number;
}

/** How a pass walks through its source, and which rows it writes; default: all. */
interface Walk {
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
