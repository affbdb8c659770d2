import { bytesIn, type ByteSource, partOf } from '../../../src/bytes/file-bytes.ts';
import { NearsightError } from '../../../src/protocol/errors.ts';

/**
 * Reads and writes the format of protocol buffers without a schema: messages are sequences of numbered fields. Payloads
 * are views on the message they were read from and are written by reference, so weights are never copied. Of a message
 * in a file, only small fields are read; large ones stay there.
 *
 * Format: https://protobuf.dev/programming-guides/encoding/
 */
export interface Field<Bytes extends ByteSource = Uint8Array> {
  readonly number: number;
  readonly wire: number;
  /** The bytes of a varint or of a fixed number, or what follows a length. */
  readonly payload: Bytes;
  /** The whole field, with its tag. */
  readonly raw: Bytes;
}

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

/** Most bytes of a tag and what follows it: a length, or an integer. */
const MAX_HEAD = 20;

/** Fields of a message in a file that have less are read at once. */
const SMALL_BYTES = 1024;

/**
 * Reads the fields of a message in order; an absent message has none. A message in memory gives views on it.
 *
 * @throws NearsightError `load_failed` if the bytes are not a message, or the file cannot be read
 */
export function fields(message?: Uint8Array): Generator<Field>;
export function fields(message: ByteSource | undefined): Generator<Field<ByteSource>>;
export function* fields(message: ByteSource = new Uint8Array()): Generator<Field<ByteSource>> {
  const size = message.byteLength;
  for (let at = 0; at < size;) {
    const head = message.subarray(at, Math.min(at + MAX_HEAD, size));
    const afterTag = endOfVarint(head, 0);
    const tag = unsigned(head, 0, afterTag);
    const wire = tag % 8;
    let payload = afterTag;
    let end = afterTag;
    if (wire === VARINT) end = endOfVarint(head, afterTag);
    else if (wire === FIXED64) end += 8;
    else if (wire === FIXED32) end += 4;
    else if (wire === BYTES) {
      payload = endOfVarint(head, afterTag);
      end = payload + unsigned(head, afterTag, payload);
    } else throw malformed(`wire type ${wire}`);
    if (at + end > size) throw malformed('a field that is longer than what is left of its message');
    const raw = end < SMALL_BYTES ? message.subarray(at, at + end) : partOf(message, at, at + end);
    yield { number: Math.floor(tag / 8), wire, payload: partOf(raw, payload, end), raw };
    at += end;
  }
}

/** What a field of a message holds: the last one of its number, as protocol buffers have it. */
export function payloadOf(message: Uint8Array | undefined, number: number): Uint8Array | undefined;
export function payloadOf(message: ByteSource | undefined, number: number): ByteSource | undefined;
export function payloadOf(message: ByteSource | undefined, number: number): ByteSource | undefined {
  return [...fields(message)].findLast((field) => field.number === number)?.payload;
}

/** The integer in a field of a message. */
export function integerOf(message: Uint8Array | undefined, number: number, absent = 0): number {
  const payload = payloadOf(message, number);
  return payload ? integer(payload) : absent;
}

/** The text in a field of a message; '' if there is none. */
export function textOf(message: Uint8Array, number: number): string {
  return text(payloadOf(message, number) ?? new Uint8Array());
}

/** A field's integer, signed as `int64`. @throws NearsightError `load_failed` beyond 2^53 */
export function integer(payload: Uint8Array): number {
  const value = Number(BigInt.asIntN(64, varint(payload)));
  if (!Number.isSafeInteger(value)) throw malformed(`the integer ${value}`);
  return value;
}

/** The integers of a repeated field, packed or not. */
export function integers({ wire, payload }: Field<ByteSource>): number[] {
  const bytes = bytesIn(payload);
  if (wire !== BYTES) return [integer(bytes)];
  const values: number[] = [];
  for (let at = 0; at < bytes.length;) {
    const end = endOfVarint(bytes, at);
    values.push(integer(bytes.subarray(at, end)));
    at = end;
  }
  return values;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A field's text. */
export function text(payload: Uint8Array): string {
  try {
    return utf8.decode(payload);
  } catch {
    throw malformed('a name that is not UTF-8');
  }
}

/** Writes a message: its pieces are joined once, at the end. */
export class Writer {
  readonly #pieces: ByteSource[] = [];
  #length = 0;

  /** Adds bytes that hold whole fields, such as `Field.raw`. */
  raw(piece: ByteSource): this {
    this.#pieces.push(piece);
    this.#length += piece.byteLength;
    return this;
  }

  integer(number: number, value: number): this {
    return this.raw(encoded(number * 8 + VARINT)).raw(encoded(value));
  }

  float(number: number, value: number): this {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setFloat32(0, value, true);
    return this.raw(encoded(number * 8 + FIXED32)).raw(bytes);
  }

  bytes(number: number, payload: ByteSource): this {
    return this.raw(encoded(number * 8 + BYTES))
      .raw(encoded(payload.byteLength))
      .raw(payload);
  }

  text(number: number, value: string): this {
    return this.bytes(number, new TextEncoder().encode(value));
  }

  message(number: number, message: Writer): this {
    this.raw(encoded(number * 8 + BYTES)).raw(encoded(message.#length));
    for (const piece of message.#pieces) this.raw(piece);
    return this;
  }

  /** The whole message. Only here are weights copied, or read from a file, if it holds any. */
  finish(): Uint8Array<ArrayBuffer> {
    const whole = new Uint8Array(this.#length);
    let at = 0;
    for (const piece of this.#pieces) {
      whole.set(bytesIn(piece), at);
      at += piece.byteLength;
    }
    return whole;
  }
}

/** The error for a file that is not an ONNX model. */
export function malformed(what: string): NearsightError {
  return new NearsightError('load_failed', `The model is not a valid ONNX file: it has ${what}. Download it again.`);
}

function endOfVarint(message: Uint8Array, at: number): number {
  for (let end = at; end < Math.min(at + 10, message.length); end++) {
    if ((message[end] ?? 0) < 0x80) return end + 1;
  }
  throw malformed('an integer without an end');
}

function varint(bytes: Uint8Array): bigint {
  let value = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 7n) | BigInt((bytes[i] ?? 0) & 0x7f);
  return value;
}

/** A tag or a length. Most have one or two bytes, for which BigInt would be slow. */
function unsigned(bytes: Uint8Array, from: number, to: number): number {
  const low = bytes[from] ?? 0;
  if (to - from === 1) return low;
  if (to - from === 2) return (low & 0x7f) + (bytes[from + 1] ?? 0) * 128;
  const value = Number(varint(bytes.subarray(from, to)));
  if (!Number.isSafeInteger(value)) throw malformed(`the length ${value}`);
  return value;
}

function encoded(value: number): Uint8Array {
  // Most tags and lengths, for which BigInt would be slow.
  if (value >= 0 && value < 0x80) return Uint8Array.of(value);
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest >= 0x80n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return Uint8Array.from([...bytes, Number(rest)]);
}
