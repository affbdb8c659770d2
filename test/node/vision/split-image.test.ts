import { expect, test } from 'vitest';
import { resize } from '../../../worker/vision/resample.ts';
import { cutViews, gridOf, normalise } from '../../../worker/families/idefics3/idefics3-tiles.ts';
import { pattern, readJson, sha256 } from './fixtures.ts';

interface Resize {
  from: [number, number];
  to: [number, number];
  sha256: string;
}

test.for(readJson<Resize[]>('resizes.json'))('resizes $from to $to as Pillow does, to the byte', (golden) => {
  const resized = resize(pattern(...golden.from), ...golden.to);
  expect([resized.width, resized.height]).toEqual(golden.to);
  expect(sha256(resized.data)).toBe(golden.sha256);
});

interface Views {
  picture: [number, number];
  size: number;
  longestEdge: number;
  splitting: boolean;
  mean: number[];
  std: number[];
  grid: [number, number];
  shape: number[];
  sha256: string;
}

test.for(readJson<Views[]>('views.json'))(
  'cuts $picture into views of $size (splitting: $splitting) as the Python processor does, to the bit',
  (golden) => {
    const picture = pattern(...golden.picture);
    const grid = golden.splitting ? gridOf(picture, golden) : { rows: 0, columns: 0 };
    expect([grid.rows, grid.columns]).toEqual(golden.grid);
    const views = cutViews(picture, grid, golden);
    const values = normalise(views, golden);
    expect([views.height / golden.size, 3, views.width, golden.size]).toEqual(golden.shape);
    expect(sha256(values)).toBe(golden.sha256);
  },
);
