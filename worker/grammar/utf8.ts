import type { Range } from './code-points.ts';

/** For each length of an encoding the code points that have it. Surrogates have no encoding. */
const LENGTHS: readonly { bytes: number; range: Range }[] = [
  { bytes: 1, range: [0, 0x7f] },
  { bytes: 2, range: [0x80, 0x7ff] },
  { bytes: 3, range: [0x800, 0xd7ff] },
  { bytes: 3, range: [0xe000, 0xffff] },
  { bytes: 4, range: [0x10000, 0x10ffff] },
];

/**
 * The UTF-8 encodings of a range of code points, as sequences of byte ranges: a text is in one of them if each of its
 * bytes is in the range at its place.
 */
export function utf8Sequences(range: Range): Range[][] {
  // Most of them: the characters of literal texts.
  if (range[1] <= 0x7f) return [[range]];
  return LENGTHS.flatMap(({ bytes, range: [least, most] }) => {
    const first = Math.max(range[0], least);
    const last = Math.min(range[1], most);
    return first <= last ? aligned(first, last, bytes) : [];
  });
}

/**
 * Splits a range of code points whose encodings have the same length until, in each part, all bytes after the first that
 * differs take all of their values: only then is the part the product of its byte ranges.
 */
function aligned(first: number, last: number, bytes: number): Range[][] {
  for (let place = 1; place < bytes; place++) {
    const low = 2 ** (6 * place) - 1;
    if ((first | low) === (last | low)) continue;
    if ((first & low) !== 0) return [...aligned(first, first | low, bytes), ...aligned((first | low) + 1, last, bytes)];
    const start = last - (last & low);
    if ((last & low) !== low) return [...aligned(first, start - 1, bytes), ...aligned(start, last, bytes)];
  }
  const firstBytes = encode(first, bytes);
  const lastBytes = encode(last, bytes);
  return [firstBytes.map((byte, place): Range => [byte, lastBytes[place] ?? byte])];
}

/** TextEncoder would do the same, but takes a string. */
function encode(codePoint: number, bytes: number): number[] {
  if (bytes === 1) return [codePoint];
  const lead = (0xf00 >> bytes) & 0xff;
  return Array.from({ length: bytes }, (_, place) => {
    const bits = codePoint >> (6 * (bytes - 1 - place));
    return place === 0 ? lead | bits : 0x80 | (bits & 0x3f);
  });
}
