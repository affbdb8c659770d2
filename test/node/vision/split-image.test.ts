import { expect, test } from 'vitest';
import { NO_TILES, splitPlan, tileGrid } from '../../../worker/families/idefics3/idefics3-tiles.ts';
import { cpuImageSplitter } from '../../../worker/vision/cpu-image-splitter.ts';
import { resize } from '../../../worker/vision/resample.ts';
import { type GoldenCrops, pattern, readJson, sha256 } from './fixtures.ts';

interface Resize {
  from: [number, number];
  to: [number, number];
  sha256: string;
}

test.for(readJson<Resize[]>('resizes.json'))('resizes $from to $to to the same bytes as Pillow', (golden) => {
  const resized = resize(pattern(...golden.from), ...golden.to);
  expect([resized.width, resized.height]).toEqual(golden.to);
  expect(sha256(resized.data)).toBe(golden.sha256);
});

/** Those of the processors of published models, beside those of made-up ones. */
const published = Object.values(readJson<Record<string, { crops: GoldenCrops[] }>>('families.json'));

test.for([...readJson<GoldenCrops[]>('crops.json'), ...published.flatMap(({ crops }) => crops)])(
  'splits $image into crops of $size (tiles: $splitting) to the same bits as the Python processor',
  async (golden) => {
    const image = pattern(...golden.image);
    const settings = { ...golden, cropSize: golden.size };
    const grid = golden.splitting ? tileGrid(image, settings) : NO_TILES;
    expect([grid.rows, grid.columns]).toEqual(golden.grid);
    const plan = splitPlan(image, grid, settings);
    expect([plan.crops.length, 3, plan.cropSize, plan.cropSize]).toEqual(golden.shape);
    const values = await cpuImageSplitter.split(image, plan).batch(0, plan.crops.length);
    if (!(values instanceof Float32Array)) throw new Error('not in memory');
    expect(sha256(values)).toBe(golden.sha256);
  },
);
