import type { Rgb, Size } from '../backend/image-splitter.ts';

/** Half-width of the kernel, in samples of the coarser of the two grids. */
const LOBES = 3;

/**
 * Weights are whole multiples of 2^-22: with 8-bit samples a sum of them stays inside 32 bits, overshoot included.
 */
export const PRECISION = 22;
const HALF = 1 << (PRECISION - 1);

/** For each output sample: its first input sample, the number of input samples, and their weights. */
export interface Kernel {
  first: Int32Array;
  length: Int32Array;
  /** Row `i` starts at `i * stride`. */
  weights: Int32Array;
  stride: number;
}

/**
 * Resizes to exactly `width` x `height` with the Lanczos-3 filter, to the same bytes as Pillow's `Image.resize`, which
 * the models were trained with: a horizontal pass, then a vertical one, each rounded to 8 bits.
 *
 * To shrink, the kernel is stretched to cover all input samples, which avoids the aliasing of a canvas.
 */
export function resize(image: Rgb, width: number, height: number): Rgb {
  if (isVerticalFirst(image, height)) return resize(resizeColumns(image, height), width, height);
  const wide = width === image.width ? image : resizeRows(image, width);
  return height === wide.height ? wide : resizeColumns(wide, height);
}

/** True if the vertical pass is first, as in Pillow 12: with rounding in between, the order changes a few levels. */
export function isVerticalFirst(from: Size, height: number): boolean {
  return from.height > 100 * from.width && height < from.height;
}

function resizeRows(image: Rgb, width: number): Rgb {
  const { first, length, weights, stride } = kernelFor(image.width, width);
  const source = image.data;
  const data = new Uint8ClampedArray(width * image.height * 3);
  let to = 0;
  for (let y = 0; y < image.height; y++) {
    const row = y * image.width * 3;
    for (let x = 0; x < width; x++) {
      let r = HALF;
      let g = HALF;
      let b = HALF;
      let from = row + first[x]! * 3;
      const end = x * stride + length[x]!;
      for (let k = x * stride; k < end; k++) {
        const weight = weights[k]!;
        r += source[from]! * weight;
        g += source[from + 1]! * weight;
        b += source[from + 2]! * weight;
        from += 3;
      }
      data[to] = r >> PRECISION;
      data[to + 1] = g >> PRECISION;
      data[to + 2] = b >> PRECISION;
      to += 3;
    }
  }
  return { width, height: image.height, data: new Uint8Array(data.buffer) };
}

function resizeColumns(image: Rgb, height: number): Rgb {
  const { first, length, weights, stride } = kernelFor(image.height, height);
  const rowBytes = image.width * 3;
  const data = new Uint8ClampedArray(rowBytes * height);
  // Adds whole rows, weight by weight, to read memory in order.
  const sums = new Int32Array(rowBytes);
  for (let y = 0; y < height; y++) {
    sums.fill(HALF);
    for (let k = 0; k < length[y]!; k++) {
      const weight = weights[y * stride + k]!;
      const start = (first[y]! + k) * rowBytes;
      const source = image.data.subarray(start, start + rowBytes);
      for (let i = 0; i < rowBytes; i++) sums[i] = sums[i]! + source[i]! * weight;
    }
    const start = y * rowBytes;
    for (let i = 0; i < rowBytes; i++) data[start + i] = sums[i]! >> PRECISION;
  }
  return { width: image.width, height, data: new Uint8Array(data.buffer) };
}

/** The weights of one axis. Samples are at pixel centres; those outside the image are left out of the average. */
export function kernelFor(from: number, to: number): Kernel {
  const scale = from / to;
  const stretch = Math.max(scale, 1);
  const support = LOBES * stretch;
  const stride = Math.ceil(support) * 2 + 1;
  const weights = new Int32Array(to * stride);
  const kernel: Kernel = { first: new Int32Array(to), length: new Int32Array(to), weights, stride };
  const taps = new Float64Array(stride);
  for (let i = 0; i < to; i++) {
    const center = (i + 0.5) * scale;
    const first = Math.max(Math.trunc(center - support + 0.5), 0);
    const length = Math.min(Math.trunc(center + support + 0.5), from) - first;
    let sum = 0;
    for (let k = 0; k < length; k++) {
      const tap = lanczos((k + first - center + 0.5) * (1 / stretch));
      taps[k] = tap;
      sum += tap;
    }
    for (let k = 0; k < length; k++) {
      const weight = (taps[k]! / sum) * (1 << PRECISION);
      // Halves are rounded away from zero.
      weights[i * stride + k] = Math.trunc(weight < 0 ? weight - 0.5 : weight + 0.5);
    }
    kernel.first[i] = first;
    kernel.length[i] = length;
  }
  return kernel;
}

/** sinc(x) sinc(x/3) within three lobes, 0 outside. */
function lanczos(x: number): number {
  return x >= -LOBES && x < LOBES ? sinc(x) * sinc(x / LOBES) : 0;
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI);
}
