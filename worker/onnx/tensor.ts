import type { Ort, Tensor } from './ort.ts';

/** Number of rows and elements in each: rows are the last axis, so a tensor [1, n, width] has n of them. */
export function rowsOf({ dims }: Tensor): { rows: number; width: number } {
  return { rows: dims.slice(0, -1).reduce((product, dim) => product * dim, 1), width: dims.at(-1) ?? 0 };
}

/** Bytes of one element of the types that features, keys, values and logits come in. */
export function elementBytes(type: Tensor.Type): 2 | 4 {
  return type === 'float16' ? 2 : 4;
}

/** One IEEE 754 half-precision number, from its bits. */
export function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
}

/** IEEE 754 half precision to float32. */
export function halfToFloat(halves: Uint16Array): Float32Array {
  return Float32Array.from(halves, halfToNumber);
}

/** Elements as float32, from the bytes of a tensor of type float32 or float16. */
export function toFloats(bytes: ArrayBuffer, offset: number, count: number, type: Tensor.Type): Float32Array {
  if (type === 'float16') return halfToFloat(new Uint16Array(bytes, offset, count));
  return new Float32Array(bytes, offset, count).slice();
}

/** Integers as graphs take them. */
export function int64(ort: Ort, values: Int32Array, dims: number[]): Tensor {
  return new ort.Tensor('int64', BigInt64Array.from(values, BigInt), dims);
}

/** A CPU tensor's memory. Never shared: onnxruntime-web copies outputs out of the wasm heap. */
export function bytesOf({ data }: Pick<Tensor, 'data'>): Uint8Array<ArrayBuffer> {
  if (!ArrayBuffer.isView(data) || !(data.buffer instanceof ArrayBuffer))
    throw new TypeError('Expected a tensor of numbers.');
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** GPU tensors that onnxruntime made and nobody has disposed of yet, for leak tests. */
const live = new Set<Tensor>();

/** Counts a tensor that onnxruntime made, until {@link release}. */
export function track(tensor: Tensor): void {
  if (tensor.location === 'gpu-buffer') live.add(tensor);
}

/** Frees a tensor's memory. Only GPU tensors hold memory that the garbage collector does not know about. */
export function release(tensor: Tensor): void {
  live.delete(tensor);
  tensor.dispose();
}

/** How many GPU tensors made by onnxruntime are not released. */
export function liveTensors(): number {
  return live.size;
}
