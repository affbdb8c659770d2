/** Writes GGUF files (version 3): metadata, then tensors of random weights. */
import { randomFillSync } from 'node:crypto';
import { closeSync, openSync, renameSync, writeSync } from 'node:fs';

/**
 * @typedef {'u32' | 'i32' | 'f32' | 'bool' | 'string'} Scalar
 * @typedef {readonly [key: string, type: Scalar, value: number | boolean | string | readonly (number | string)[]]} Entry an
 *   array is an array of that type
 * @typedef {'f32' | 'f16' | 'q4_0' | 'q8_0'} WeightType
 * @typedef {{ name: string, shape: readonly number[], type: WeightType, value?: number }} TensorOf `shape` has the fastest
 *   dimension first; `value`: of all elements, in place of random ones; only for f32
 */

/** Numbers of the format. */
const SCALARS = { u32: 4, i32: 5, f32: 6, bool: 7, string: 8 };
const ARRAY = 9;
const WEIGHTS = { f32: 0, f16: 1, q4_0: 2, q8_0: 8 };
/** Elements and bytes of a block: a scale in half precision, and an integer for each element. */
const BLOCKS = { f32: [1, 4], f16: [1, 2], q4_0: [32, 18], q8_0: [32, 34] };
const ALIGNMENT = 32;

/** The standard deviation of all random weights. */
const DEVIATION = 0.02;
/** That of the integers in a block: evenly distributed bytes, or halves of bytes. */
const INTEGERS = { q4_0: 4.61, q8_0: 73.9 };

/** @param {string} text */
function string(text) {
  const bytes = Buffer.from(text);
  return Buffer.concat([u64(bytes.length), bytes]);
}

/** @param {number} value */
function u64(value) {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

/** @param {number} value */
function u32(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

/** @param {Scalar} type @param {number | boolean | string} value */
function scalar(type, value) {
  if (type === 'string') return string(String(value));
  if (type === 'bool') return Buffer.of(value ? 1 : 0);
  const bytes = Buffer.alloc(4);
  if (type === 'f32') bytes.writeFloatLE(Number(value));
  else if (type === 'i32') bytes.writeInt32LE(Number(value));
  else bytes.writeUInt32LE(Number(value));
  return bytes;
}

/** @param {Entry} entry */
function metadata([key, type, value]) {
  if (typeof value !== 'object') return Buffer.concat([string(key), u32(SCALARS[type]), scalar(type, value)]);
  const items = value.map((item) => scalar(type, item));
  return Buffer.concat([string(key), u32(ARRAY), u32(SCALARS[type]), u64(value.length), ...items]);
}

/** @param {TensorOf} tensor */
function sizeOf({ shape, type }) {
  const [elements = 1, bytes = 0] = BLOCKS[type];
  return (shape.reduce((product, length) => product * length, 1) / elements) * bytes;
}

/** @param {number} bytes */
const aligned = (bytes) => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

/**
 * @param {string} path
 * @param {readonly Entry[]} entries
 * @param {readonly TensorOf[]} tensors
 */
export function writeGguf(path, entries, tensors) {
  let offset = 0;
  const directory = tensors.map((tensor) => {
    const { name, shape, type } = tensor;
    const entry = [string(name), u32(shape.length), ...shape.map(u64), u32(WEIGHTS[type]), u64(offset)];
    offset += aligned(sizeOf(tensor));
    return Buffer.concat(entry);
  });
  const head = Buffer.concat([
    Buffer.from('GGUF'),
    u32(3),
    u64(tensors.length),
    u64(entries.length),
    ...entries.map(metadata),
    ...directory,
  ]);
  const unfinished = `${path}.part`;
  const file = openSync(unfinished, 'w');
  writeSync(file, head);
  writeSync(file, Buffer.alloc(aligned(head.length) - head.length));
  for (const tensor of tensors) {
    const bytes = weights(tensor);
    writeSync(file, bytes);
    writeSync(file, Buffer.alloc(aligned(bytes.length) - bytes.length));
  }
  closeSync(file);
  renameSync(unfinished, path);
}

/** @param {TensorOf} tensor */
function weights(tensor) {
  const { type, value } = tensor;
  const bytes = Buffer.alloc(sizeOf(tensor));
  if (type === 'f32') {
    const floats = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
    floats.forEach((_, at) => (floats[at] = value ?? evenly()));
  } else if (type === 'f16') {
    for (let at = 0; at < bytes.length; at += 2) bytes.writeUInt16LE(half(evenly()), at);
  } else {
    randomFillSync(bytes);
    const scale = half(DEVIATION / INTEGERS[type]);
    const [, block = 0] = BLOCKS[type];
    for (let at = 0; at < bytes.length; at += block) bytes.writeUInt16LE(scale, at);
  }
  return bytes;
}

/** Evenly distributed, with the standard deviation of all. */
const evenly = () => (Math.random() * 2 - 1) * DEVIATION * Math.sqrt(3);

const one = new Float32Array(1);
const bits = new Uint32Array(one.buffer);

/** The bits of a number in half precision, rounded down; smaller ones than 2^-24 are zero. @param {number} value */
function half(value) {
  one[0] = value;
  const [float = 0] = bits;
  const sign = (float >>> 16) & 0x8000;
  const exponent = ((float >>> 23) & 255) - 112;
  const mantissa = (float & 0x7fffff) | 0x800000;
  if (exponent > 0) return sign | (exponent << 10) | ((float >>> 13) & 0x3ff);
  return exponent < -10 ? sign : sign | (mantissa >>> (14 - exponent));
}
