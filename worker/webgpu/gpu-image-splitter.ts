import type { ViewMaker, Views } from '../vision/cpu-image-splitter.ts';
import type { Picture } from '../families/processor.ts';
import { kernelFor, resize, type Rgb, shrinksDownFirst } from '../vision/resample.ts';
import { levelTables, scalesOf, type Size, viewCount } from '../families/idefics3/idefics3-tiles.ts';
import { COPY_DST, COPY_SRC, STORAGE, UNIFORM } from '../gpu/usage.ts';
import { NORMALISE, RESAMPLE } from './shaders/split-image.ts';

/** Pictures are uploaded in bands of rows, so that a large one is never in GPU memory whole. */
const BAND_BYTES = 16 << 20;

/** Edge of a workgroup, in both shaders. */
const GROUP = 8;

/** A picture on the GPU, a word for each pixel. */
interface Plane extends Size {
  buffer: GPUBuffer;
}

/** Cuts pictures into views on the GPU, to the same bits as `worker/families/idefics3/idefics3-tiles.ts` does. */
export class GpuViews implements ViewMaker {
  readonly #device: GPUDevice;
  readonly #resample: GPUComputePipeline;
  readonly #normalise: GPUComputePipeline;

  constructor(device: GPUDevice) {
    this.#device = device;
    this.#resample = compile(device, 'resample', RESAMPLE);
    this.#normalise = compile(device, 'normalise', NORMALISE);
  }

  /**
   * Uploads a picture and scales it. The bytes come from JavaScript, not from a texture: whoever has them there knows
   * them to the bit, and the first time that a file is seen they are hashed.
   */
  async open(picture: Picture, signal: AbortSignal): Promise<Views> {
    const image = await picture.pixels();
    signal.throwIfAborted();
    const scratch = new Scratch(this.#device, this.#resample);
    try {
      return this.#cut(scratch, image, picture);
    } catch (error) {
      scratch.close();
      throw error;
    }
  }

  #cut(scratch: Scratch, image: Rgb, { grid, settings }: Picture): Views {
    const scales = scalesOf(image, grid, settings);
    let tiled = scratch.upload(image, scales[0] ?? image);
    for (const scale of scales) tiled = scratch.resize(tiled, scale);
    const { size } = settings;
    const whole = scratch.resize(tiled, { width: size, height: size });
    const table = scratch.fill(
      'levels',
      STORAGE,
      Float32Array.from(levelTables(settings).flatMap((each) => [...each])),
    );
    const tiles = viewCount(grid) - 1;
    let result: GPUBuffer | undefined;
    let before: Promise<void> | undefined;
    return {
      batch: async (first, count) => {
        await before;
        before = this.#device.queue.onSubmittedWorkDone();
        // The first batch is the largest.
        result ??= scratch.values(count * 3 * size * size);
        const batch = Uint32Array.of(size, tiled.width, grid.columns, tiles, first);
        const buffers = [scratch.fill('batch', UNIFORM, batch), tiled.buffer, whole.buffer, table, result];
        const groups = Math.ceil(size / GROUP);
        dispatch(this.#device, this.#normalise, buffers, [groups, groups, count]);
        return result;
      },
      close: () => scratch.close(),
    };
  }
}

/** Buffers of one picture, and the passes that fill them. */
class Scratch {
  readonly #device: GPUDevice;
  readonly #resample: GPUComputePipeline;
  readonly #buffers: GPUBuffer[] = [];

  constructor(device: GPUDevice, resample: GPUComputePipeline) {
    this.#device = device;
    this.#resample = resample;
  }

  /** Brings a picture to the GPU, band by band, scaled to this width where its rows may be scaled first. */
  upload(image: Rgb, scale: Size): Plane {
    const width = shrinksDownFirst(image, scale.height) ? image.width : scale.width;
    // Widths of up to 16,384 and models that read large pictures: beyond what adapters must bind.
    if (width * image.height * 4 > this.#device.limits.maxStorageBufferBindingSize) {
      const small = resize(image, scale.width, scale.height);
      return this.upload(small, small);
    }
    const rowBytes = image.width * 3;
    // Four rows at least end at a whole word.
    const rows = Math.min(Math.max(Math.floor(BAND_BYTES / rowBytes / 4), 1) * 4, image.height);
    const source = this.#buffer('band', STORAGE | COPY_DST, Math.ceil((rows * rowBytes) / 4) * 4);
    const plane = this.#plane({ width, height: image.height });
    const kernels = this.#kernels(image.width, width);
    for (let top = 0; top < image.height; top += rows) {
      const count = Math.min(rows, image.height - top);
      this.#device.queue.writeBuffer(source, 0, words(image.data, top * rowBytes, count * rowBytes));
      const axis = { vertical: 0, step: 1, line: image.width };
      this.#pass(source, kernels, plane, { ...axis, top, height: count, triples: 1 });
    }
    return plane;
  }

  /** As `resize` in `worker/vision/resample.ts`. */
  resize(plane: Plane, { width, height }: Size): Plane {
    if (shrinksDownFirst(plane, height)) return this.#rows(this.#columns(plane, height), width);
    return this.#columns(this.#rows(plane, width), height);
  }

  /** A buffer with these contents. */
  fill(label: string, usage: number, data: Uint32Array | Int32Array | Float32Array): GPUBuffer {
    const buffer = this.#buffer(label, usage | COPY_DST, data.byteLength);
    this.#device.queue.writeBuffer(buffer, 0, data);
    return buffer;
  }

  /** Room for floats, as onnxruntime wants its inputs. */
  values(count: number): GPUBuffer {
    return this.#buffer('pixel_values', STORAGE | COPY_SRC | COPY_DST, count * Float32Array.BYTES_PER_ELEMENT);
  }

  /** Leaves nothing of the picture behind. */
  close(): void {
    for (const buffer of this.#buffers) buffer.destroy();
  }

  #rows(from: Plane, width: number): Plane {
    if (width === from.width) return from;
    const plane = this.#plane({ width, height: from.height });
    const axis = { vertical: 0, step: 1, line: from.width };
    this.#pass(from.buffer, this.#kernels(from.width, width), plane, axis);
    return plane;
  }

  #columns(from: Plane, height: number): Plane {
    if (height === from.height) return from;
    const plane = this.#plane({ width: from.width, height });
    const axis = { vertical: 1, step: from.width, line: 1 };
    this.#pass(from.buffer, this.#kernels(from.height, height), plane, axis);
    return plane;
  }

  #pass(source: GPUBuffer, { buffer, samples, stride }: Kernels, to: Plane, axis: Axis): void {
    const { vertical, step, line, top = 0, height = to.height, triples = 0 } = axis;
    const job = Uint32Array.of(to.width, height, top, vertical, step, line, samples, stride, triples);
    const buffers = [this.fill('pass', UNIFORM, job), source, buffer, to.buffer];
    dispatch(this.#device, this.#resample, buffers, [Math.ceil(to.width / GROUP), Math.ceil(height / GROUP), 1]);
  }

  #kernels(from: number, samples: number): Kernels {
    const { first, length, weights, stride } = kernelFor(from, samples);
    const data = new Int32Array(2 * samples + weights.length);
    for (let i = 0; i < samples; i++) data.set([first[i] ?? 0, length[i] ?? 0], 2 * i);
    data.set(weights, 2 * samples);
    return { buffer: this.fill('kernels', STORAGE, data), samples, stride };
  }

  #plane(size: Size): Plane {
    return { ...size, buffer: this.#buffer('plane', STORAGE, size.width * size.height * 4) };
  }

  #buffer(label: string, usage: number, size: number): GPUBuffer {
    const buffer = this.#device.createBuffer({ label, size, usage });
    this.#buffers.push(buffer);
    return buffer;
  }
}

/** Weights of one axis, as the shader reads them. */
interface Kernels {
  buffer: GPUBuffer;
  samples: number;
  stride: number;
}

/** How a pass walks through its source, and which rows it writes: all, if nothing is said. */
interface Axis {
  vertical: number;
  step: number;
  line: number;
  top?: number;
  height?: number;
  triples?: number;
}

/** Bytes as whole words, which is what buffers are written in; only the last band of a picture is ever copied. */
function words(data: Uint8Array<ArrayBuffer>, at: number, length: number): Uint8Array<ArrayBuffer> {
  const bytes = data.subarray(at, at + length);
  if (length % 4 === 0) return bytes;
  const padded = new Uint8Array(Math.ceil(length / 4) * 4);
  padded.set(bytes);
  return padded;
}

function compile(device: GPUDevice, label: string, code: string): GPUComputePipeline {
  const module = device.createShaderModule({ label, code });
  return device.createComputePipeline({ label, layout: 'auto', compute: { module } });
}

function dispatch(
  device: GPUDevice,
  pipeline: GPUComputePipeline,
  buffers: readonly GPUBuffer[],
  [x, y, z]: readonly [number, number, number],
): void {
  const entries = buffers.map((buffer, binding) => ({ binding, resource: { buffer } }));
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
  pass.dispatchWorkgroups(x, y, z);
  pass.end();
  device.queue.submit([encoder.finish()]);
}
