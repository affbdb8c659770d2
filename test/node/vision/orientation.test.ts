import { describe, expect, it } from 'vitest';
import { readHeader } from '../../../worker/vision/image-header.ts';
import {
  frameOrientation,
  type Orientation,
  readOrientation,
  turnUpright,
} from '../../../worker/vision/orientation.ts';
import { bytesOfImage } from './fixtures.ts';

/** An image of one letter a pixel, one word a row. */
const image = (...rows: string[]): { width: number; height: number; data: Uint8Array<ArrayBuffer> } => ({
  width: rows[0]!.length,
  height: rows.length,
  data: Uint8Array.from(rows.join('').replaceAll(/./g, '$&$&$&'), (letter) => letter.charCodeAt(0)),
});

/** The same picture, stored in each orientation: figure 2 of CIPA DC-008, as Pillow's `exif_transpose` reads it. */
const STORED: Record<Orientation, string[]> = {
  1: ['abc', 'def'],
  2: ['cba', 'fed'],
  3: ['fed', 'cba'],
  4: ['def', 'abc'],
  5: ['ad', 'be', 'cf'],
  6: ['cf', 'be', 'ad'],
  7: ['fc', 'eb', 'da'],
  8: ['da', 'eb', 'fc'],
};
const orientations = Object.keys(STORED).map((key) => Number(key) as Orientation);

it.each(orientations)('an image stored in orientation %i is turned upright', (orientation) => {
  expect(turnUpright(image(...STORED[orientation]), orientation)).toEqual(image('abc', 'def'));
});

it('a video frame is rotated clockwise, then mirrored', () => {
  const frame = (rotation: number, flip: boolean): Orientation => frameOrientation({ rotation, flip } as VideoFrame);
  expect([0, 90, 180, 270].map((rotation) => frame(rotation, false))).toEqual([1, 6, 3, 8]);
  expect([0, 90, 180, 270].map((rotation) => frame(rotation, true))).toEqual([2, 5, 4, 7]);
  // A browser that does not turn frames.
  expect(frameOrientation({} as VideoFrame)).toBe(1);
});

describe('the orientation in EXIF data', () => {
  /** One directory with the tags 0x0100 and 0x0112. */
  const exif = (value: number, { little = true, prefix = '', type = 3 } = {}): Uint8Array => {
    const view = new DataView(new ArrayBuffer(38));
    view.setUint16(0, little ? 0x4949 : 0x4d4d);
    view.setUint16(2, 42, little);
    view.setUint32(4, 8, little);
    view.setUint16(8, 2, little);
    for (const [at, tag, level] of [
      [10, 0x0100, 640],
      [22, 0x0112, value],
    ] as const) {
      view.setUint16(at, tag, little);
      view.setUint16(at + 2, type, little);
      view.setUint32(at + 4, 1, little);
      view.setUint16(at + 8, level, little);
    }
    return Buffer.concat([Buffer.from(prefix, 'latin1'), new Uint8Array(view.buffer)]);
  };

  it('is read in both byte orders, with and without the prefix of JPEG', () => {
    for (const orientation of orientations) {
      for (const little of [true, false]) {
        for (const prefix of ['', 'Exif\0\0']) {
          expect(readOrientation(exif(orientation, { little, prefix }))).toBe(orientation);
        }
      }
    }
  });

  it('is 1 if it is none, damaged or cut short', () => {
    for (const bad of [exif(0), exif(9), exif(6, { type: 2 }), new Uint8Array(), exif(6).subarray(0, 29)]) {
      expect(readOrientation(bad)).toBe(1);
    }
  });

  it('is found in WebP files, where browsers ignore it', () => {
    for (const orientation of orientations.slice(1)) {
      for (const kind of ['turned', 'turned-alpha']) {
        expect(readHeader(bytesOfImage(`${kind}-${orientation}.webp`))).toMatchObject({ orientation });
      }
    }
    expect(readHeader(bytesOfImage('alpha.webp')).orientation).toBeUndefined();
  });
});
