import { expect, test } from 'vitest';
import type { Filter } from '../../../worker/backend/image-splitter.ts';
import { NO_TILES, splitPlan, tileGrid } from '../../../worker/families/idefics3/idefics3-tiles.ts';
import { cpuImageSplitter } from '../../../worker/vision/cpu-image-splitter.ts';
import { resize } from '../../../worker/vision/resample.ts';
import { type GoldenCrops, pattern, readJson, sha256 } from './fixtures.ts';

interface Resize {
  filter: Filter;
  from: [number, number];
  to: [number, number];
  sha256: string;
}

const resizes = readJson<Resize[]>('resizes.json');

test.for(resizes)(
  'resizes $from to $to ($filter) to the same bytes as Pillow, also where only a part is asked for',
  ({ filter, from, to: [width, height], sha256: hash }) => {
    const image = pattern(...from);
    const whole = resize(image, { width, height }, filter);
    expect([whole.width, whole.height]).toEqual([width, height]);
    expect(sha256(whole.data)).toBe(hash);
    if (width <= 3 || height <= 3) return;
    const part = { left: 1, top: height >> 1, width: width >> 1, height: 2 };
    const rows = [0, 1].map((y) => {
      const start = ((part.top + y) * width + part.left) * 3;
      return whole.data.subarray(start, start + part.width * 3);
    });
    const resized = resize(image, { width, height, part }, filter);
    expect([resized.width, resized.height]).toEqual([part.width, part.height]);
    expect(sha256(resized.data)).toBe(sha256(Buffer.concat(rows)));
  },
);

/** Those of the processors of published models, beside those of made-up ones. Most models split as others do. */
const published = Object.values(readJson<Record<string, { crops: GoldenCrops[] }>>('families.json'));
const goldens = [...readJson<GoldenCrops[]>('crops.json'), ...published.flatMap(({ crops }) => crops)];
const keyOf = ({ image, size, longestEdge, splitting, mean, std, sha256: hash }: GoldenCrops): string =>
  JSON.stringify([image, size, longestEdge, splitting, mean, std, hash]);

test.for([...new Map(goldens.map((golden) => [keyOf(golden), golden])).values()])(
  'splits $image into crops of $size (tiles: $splitting) to the same bits as the Python processor',
  async (golden) => {
    const image = pattern(...golden.image);
    const settings = { ...golden, cropSize: golden.size };
    const grid = golden.splitting ? tileGrid(image, settings) : NO_TILES;
    expect([grid.rows, grid.columns]).toEqual(golden.grid);
    const plan = splitPlan(image, grid, settings);
    expect([plan.crops.length, plan.cropValues]).toEqual([golden.shape[0], 3 * golden.size ** 2]);
    const values = await cpuImageSplitter.split(image, plan).batch(0, plan.crops.length);
    if (!(values instanceof Float32Array)) throw new Error('not in memory');
    expect(sha256(values)).toBe(golden.sha256);
  },
);
