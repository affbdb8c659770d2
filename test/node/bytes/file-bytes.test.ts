import { describe, expect, test } from 'vitest';
import { bytesIn, FileBytes, offsetIn, partOf } from '../../../src/bytes/file-bytes.ts';
import { fileOnDisk } from '../onnx/file-on-disk.ts';

const CONTENT = Uint8Array.from({ length: 200_000 }, (_, at) => (at * 31) % 251);

/** Quicker than `toEqual`, which compares element by element. */
function expectSame(actual: Uint8Array, expected: Uint8Array): void {
  expect(Buffer.compare(actual, expected)).toBe(0);
}

describe('a file as a Uint8Array', () => {
  test('is one, has its size, and holds nothing', () => {
    const { file, reads } = fileOnDisk(CONTENT);
    expect(file).toBeInstanceOf(Uint8Array);
    expect([file.byteLength, file.length, file.buffer.byteLength]).toEqual([200_000, 200_000, 0]);
    expect(reads).toEqual([]);
  });

  test.each([
    [0, 10],
    [199_990, 200_000],
    [100, 100],
    [5, 180_000],
    [50_000, 54_096],
    [-7, undefined],
    [undefined, -199_000],
    [199_999, 300_000],
    [300_000, 300_001],
    [20, 10],
  ])('subarray(%s, %s) gives what an array in memory gives', (from, to) => {
    const { file } = fileOnDisk(CONTENT);
    expectSame(file.subarray(from, to), CONTENT.slice(from, to));
    expectSame(file.slice(from, to), CONTENT.slice(from, to));
  });

  test('views are lazy, nested views too, and know where they are', () => {
    const { file, reads } = fileOnDisk(CONTENT);
    const outer = file.view(1000, 150_000);
    const inner = outer.view(500, 120_500);
    expect([inner.byteLength, inner.offsetIn(outer), inner.offsetIn(file)]).toEqual([120_000, 500, 1500]);
    expect(outer.offsetIn(inner)).toBeUndefined();
    expect(inner.offsetIn(fileOnDisk(CONTENT).file)).toBeUndefined();
    expect(reads).toEqual([]);
    expect(inner.subarray(10, 20)).toEqual(CONTENT.slice(1510, 1520));
    expectSame(bytesIn(inner), CONTENT.slice(1500, 121_500));
    // A view ends where its part ends, not where its file does.
    expect(inner.subarray(119_990, 130_000)).toEqual(CONTENT.slice(121_490, 121_500));
  });

  test('short reads one after the other take few reads of the file, in any pattern the same bytes', () => {
    const { file, reads } = fileOnDisk(CONTENT);
    for (let at = 0; at < 200_000; at += 100) {
      expect(file.subarray(at, at + 100)).toEqual(CONTENT.slice(at, at + 100));
      if (at % 3000 === 0) expect(file.subarray(at / 2, at / 2 + 9)).toEqual(CONTENT.slice(at / 2, at / 2 + 9));
    }
    expect(reads.length).toBeLessThan(200);
    reads.length = 0;
    for (let at = 0; at < 200_000; at += 100) file.subarray(at, at + 100);
    expect(reads.length).toBeLessThan(10);
    expect(reads.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThan(201_000);
  });

  test('a caller owns the bytes that it gets', () => {
    const { file } = fileOnDisk(CONTENT);
    const bytes = file.subarray(0, 4);
    expect(bytes.buffer.byteLength).toBe(4);
    bytes.fill(255);
    expect(file.subarray(0, 4)).toEqual(CONTENT.slice(0, 4));
  });

  test('a file that is gone is load_failed, which is remembered for callers that get no error', () => {
    const { file, remove } = fileOnDisk(CONTENT);
    const view = file.view(0, 100);
    expect(file.failure).toBeUndefined();
    remove();
    const message = expect.stringMatching(/NotFoundError.*deleted or changed.*Load the model again/s) as string;
    expect(() => view.subarray(0, 10)).toThrow(expect.objectContaining({ code: 'load_failed', message }));
    expect(file.failure).toMatchObject({ code: 'load_failed' });
  });
});

test('bytesIn, partOf and offsetIn treat arrays in memory as such, without copies', () => {
  const part = partOf(CONTENT, 10, 20);
  expect(part).not.toBeInstanceOf(FileBytes);
  expect(bytesIn(part).buffer).toBe(CONTENT.buffer);
  expect(offsetIn(part, CONTENT)).toBe(10);
  expect(offsetIn(CONTENT, part)).toBeUndefined();
  expect(offsetIn(part, CONTENT.slice())).toBeUndefined();
  expect(offsetIn(part, fileOnDisk(CONTENT).file)).toBeUndefined();
});
