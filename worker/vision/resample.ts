import type { Filter, Resize, Rgb, Size } from '../backend/image-splitter.ts';

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

/** One axis of a resize: its edge before and after, and which of the samples after it are computed. */
export interface Axis {
  from: number;
  to: number;
  first: number;
  count: number;
}

/** The axes of a resize. */
export function axesOf(image: Size, { width, height, part }: Resize): { horizontal: Axis; vertical: Axis } {
  const { left, top, ...size } = part ?? { left: 0, top: 0, width, height };
  return {
    horizontal: { from: image.width, to: width, first: left, count: size.width },
    vertical: { from: image.height, to: height, first: top, count: size.height },
  };
}

/** True if a pass along this axis changes nothing. */
export function isWhole({ from, to, count }: Axis): boolean {
  return from === to && count === to;
}

/**
 * Resizes to the same bytes as Pillow's `Image.resize`, which the models were trained with: a horizontal pass, then a
 * vertical one, each rounded to 8 bits.
 *
 * To shrink, the kernel is stretched to cover all input samples, which avoids the aliasing of a canvas.
 */
export function resize(image: Rgb, target: Resize, filter: Filter): Rgb {
  const { horizontal, vertical } = axesOf(image, target);
  if (isVerticalFirst(image, target.height))
    return resizeRows(resizeColumns(image, vertical, filter), horizontal, filter);
  return resizeColumns(resizeRows(image, horizontal, filter), vertical, filter);
}

/** True if the vertical pass is first, as in Pillow 12: with rounding in between, the order changes a few levels. */
export function isVerticalFirst(from: Size, height: number): boolean {
  return from.height > 100 * from.width && height < from.height;
}

function resizeRows(image: Rgb, axis: Axis, filter: Filter): Rgb {
  if (isWhole(axis)) return image;
  const { first, length, weights, stride } = kernelFor(axis, filter);
  const width = axis.count;
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

function resizeColumns(image: Rgb, axis: Axis, filter: Filter): Rgb {
  if (isWhole(axis)) return image;
  const { first, length, weights, stride } = kernelFor(axis, filter);
  const height = axis.count;
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
export function kernelFor({ from, to, first: start, count }: Axis, filter: Filter): Kernel {
  const [lobes, weigh] = FILTERS[filter];
  const scale = from / to;
  const stretch = Math.max(scale, 1);
  const support = lobes * stretch;
  const stride = Math.ceil(support) * 2 + 1;
  const weights = new Int32Array(count * stride);
  const kernel: Kernel = { first: new Int32Array(count), length: new Int32Array(count), weights, stride };
  const taps = new Float64Array(stride);
  for (let i = 0; i < count; i++) {
    const center = (start + i + 0.5) * scale;
    const first = Math.max(Math.trunc(center - support + 0.5), 0);
    const length = Math.min(Math.trunc(center + support + 0.5), from) - first;
    let sum = 0;
    for (let k = 0; k < length; k++) {
      const tap = weigh((k + first - center + 0.5) * (1 / stretch));
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

/** The half-width of each kernel, in samples of the coarser of the two grids, and its weights. */
const FILTERS: Record<Filter, readonly [lobes: number, weigh: (x: number) => number]> = {
  lanczos: [3, lanczos],
  bicubic: [2, bicubic],
  bilinear: [1, (x) => Math.max(1 - Math.abs(x), 0)],
};

/** sinc(x) sinc(x/3) within three lobes, 0 outside. */
function lanczos(x: number): number {
  return x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0;
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI);
}

/** Keys' cubic with a = -0.5. Canvases and most other libraries take -0.75. */
function bicubic(signed: number): number {
  const x = Math.abs(signed);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? -0.5 * (((x - 5) * x + 8) * x - 4) : 0;
}
