import { readFileSync } from 'node:fs';
import { crc32, gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NO_TILES, splitPlan, tileGrid } from '../../../worker/families/idefics3/idefics3-tiles.ts';
import { cpuImageSplitter } from '../../../worker/vision/cpu-image-splitter.ts';
import type { TestPage } from '../harness/harness.ts';
import { openWorkerPage, order } from '../harness/worker-page.ts';
import { writePng } from './fuzz/png-writer.ts';
import type { Order, Outcome } from './image-decoder-worker.ts';

interface Golden {
  file: string;
  width: number;
  height: number;
  /** By how many levels values may differ where the format allows it: at most, and on average. */
  max: number;
  mean: number;
  /** The pixels that Pillow decodes, as base64. */
  rgb: string;
}

const fixtures = new URL('../../fixtures/vlm/', import.meta.url);
const goldens: Golden[] = JSON.parse(readFileSync(new URL('images.json', fixtures), 'utf8'));
const bytesOf = (file: string): Uint8Array => readFileSync(new URL(`images/${file}`, fixtures));
const MAX_PIXELS = 4_000_000;

let page: TestPage;

beforeAll(async () => {
  page = await openWorkerPage(new URL('image-decoder-worker.ts', import.meta.url));
});

afterAll(() => page[Symbol.asyncDispose]());

function decode(bytes: Uint8Array, browser: Order['browser'] = 'usual'): Promise<Outcome> {
  return order(page, { bytes, maxPixels: MAX_PIXELS, browser });
}

/** A grey PNG with computed levels. */
function png(width: number, height: number, level: (x: number, y: number) => number): Uint8Array {
  const pixel = (x: number, y: number): number[] => [level(x, y)];
  return writePng({ width, height, colour: 'grey', depth: 8, interlaced: false, pixel, chunks: [] });
}

describe('images decode to the same pixels as in Pillow', () => {
  it.for(goldens)('$file', async ({ file, width, height, max, mean, rgb }) => {
    const actual = await decode(bytesOf(file));
    expect(actual).toMatchObject({ width, height });
    const differences = differencesOf(actual, Buffer.from(rgb, 'base64'));
    expect(Math.max(...differences)).toBeLessThanOrEqual(max);
    expect(differences.reduce((sum, difference) => sum + difference) / differences.length).toBeLessThanOrEqual(mean);
  });

  it.for(goldens.filter(({ file }) => /alpha.*(png|webp)/.test(file)))(
    '$file, to one level, without VideoFrame',
    async ({ file, rgb }) => {
      const differences = differencesOf(await decode(bytesOf(file), 'no WebCodecs'), Buffer.from(rgb, 'base64'));
      expect(Math.max(...differences)).toBeLessThanOrEqual(1);
    },
  );

  it.for(goldens.filter(({ file }) => /^(rgb|alpha|turned-alpha-6)\.(png|webp)|^turned-5/.test(file)))(
    '$file, where a canvas gives noise',
    async ({ file, width, height, rgb }) => {
      const actual = await decode(bytesOf(file), 'noise');
      expect(actual).toMatchObject({ width, height });
      const differences = differencesOf(actual, Buffer.from(rgb, 'base64'));
      expect(Math.max(...differences)).toBeLessThanOrEqual(file.includes('alpha') ? 1 : 0);
    },
  );

  it('within one level, where a canvas flips the lowest bits', async () => {
    const { rgb } = goldens.find(({ file }) => file === 'rgb.png')!;
    const actual = await decode(bytesOf('rgb.png'), 'flipped bits, no WebGPU');
    expect(Math.max(...differencesOf(actual, Buffer.from(rgb, 'base64')))).toBe(1);
  });

  it('several bands, where a canvas gives noise', async () => {
    const level = (x: number, y: number): number => (x * 31 + y * 7) % 251;
    const expected = Array.from({ length: 65 * 700 * 3 }, (_, i) => level(Math.floor(i / 3) % 65, Math.floor(i / 195)));
    const differences = differencesOf(await decode(png(65, 700, level), 'noise'), expected);
    expect(Math.max(...new Set(differences))).toBe(0);
  });

  it('an image of several bands, and one as wide as a canvas', async () => {
    const level = (x: number, y: number): number => (x * 31 + y * 7) % 251;
    for (const [width, height] of [
      [3, 700],
      [16_384, 2],
    ] as const) {
      const expected = Array.from({ length: width * height * 3 }, (_, i) =>
        level(Math.floor(i / 3) % width, Math.floor(i / 3 / width)),
      );
      const differences = differencesOf(await decode(png(width, height, level)), expected);
      expect(Math.max(0, ...new Set(differences))).toBe(0);
    }
  });
});

describe('golden images of glimpse, decoded by the browser, give the crops of the Python processor', () => {
  interface Crops {
    image: string;
    split: boolean;
    file: string;
    shape: [crops: number, height: number, width: number, channels: number];
  }
  const folder = new URL('../../fixtures/glimpse/', import.meta.url);
  const { pixels }: { pixels: Crops[] } = JSON.parse(readFileSync(new URL('golden.json', folder), 'utf8'));
  // Values from 0 to 1, which are levels again times 255.
  const values = { mean: [0, 0, 0], std: [1, 1, 1] };
  const settings = { cropSize: 96, longestEdge: 192, splitting: false, ...values };

  it.for(pixels)('$image (tiles: $split)', async ({ image: name, split, file, shape: [count] }) => {
    const actual = await decode(readFileSync(new URL(name, folder)));
    if (!('rgb' in actual)) throw new Error(actual.message);
    const image = { ...actual, data: Uint8Array.from(Buffer.from(actual.rgb, 'base64')) };
    const plan = splitPlan(image, split ? tileGrid(image, settings) : NO_TILES, settings);
    expect(plan.crops.length).toBe(count);
    const crops = await cpuImageSplitter.split(image, plan).batch(0, count);
    if (!(crops instanceof Float32Array)) throw new Error('not in memory');
    const expected = gunzipSync(readFileSync(new URL(file, folder)));
    expect(expected.length).toBe(crops.length);
    // Channel by channel here, pixel by pixel in the golden file.
    const area = settings.cropSize ** 2;
    const indexOf = (i: number): number =>
      Math.floor(i / (3 * area)) * 3 * area + (i % 3) * area + (Math.floor(i / 3) % area);
    const differences = Array.from(expected, (level, i) =>
      Math.abs(level - Math.round((crops[indexOf(i)] ?? NaN) * 255)),
    );
    expect(Math.max(...new Set(differences))).toBeLessThanOrEqual(1);
  });
});

function differencesOf(actual: Outcome, expected: ArrayLike<number>): number[] {
  if (!('rgb' in actual)) throw new Error(actual.message);
  const levels = Buffer.from(actual.rgb, 'base64');
  expect(levels.length).toBe(expected.length);
  return Array.from(expected, (level, i) => Math.abs(level - (levels[i] ?? Infinity)));
}

describe('unreadable images are refused, with the part and the cause', () => {
  const half = (file: string): Uint8Array => bytesOf(file).subarray(0, bytesOf(file).length * 0.6);
  const text = (value: string): Uint8Array => new TextEncoder().encode(value);
  const huge = Uint8Array.from(bytesOf('rgb.png'));
  huge.set([0, 0, 0x27, 0x10, 0, 0, 0x27, 0x10], 16);
  Buffer.from(huge.buffer).writeUInt32BE(crc32(huge.subarray(12, 29)), 29);
  const broken = (file: string, from: number): Uint8Array => Uint8Array.from(bytesOf(file)).fill(0x55, from, from + 60);

  it.for([
    ['no bytes', new Uint8Array(), 'it has no bytes'],
    ['text', text('not an image'), 'it is not a PNG'],
    ['SVG', text('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'), 'it looks like SVG'],
    ['half a PNG', half('rgb.png'), 'it is cut short'],
    ['half a JPEG', half('420.jpg'), 'it is cut short'],
    ['half a progressive JPEG', half('progressive.jpg'), 'it is cut short'],
    ['half a WebP', half('lossy.webp'), 'it is cut short'],
    ['half a GIF', half('still.gif'), 'it is cut short'],
    ['half an AVIF', half('420.avif'), 'it is cut short'],
    ['half a BMP', half('rgb.bmp'), 'it is cut short'],
    ['a BMP without its rows', bytesOf('rgb.bmp').subarray(0, 54), 'it is cut short'],
    [
      'HEIC',
      text('\0\0\0\x18ftypheic\0\0\0\0mif1heic'),
      'it is HEIC, which is not supported. Convert it to JPEG or PNG',
    ],
    ['100 megapixels', huge, 'it is 10000 x 10000 pixels, and at most 4000000 are allowed'],
    ['a strip longer than a canvas', png(20_000, 2, () => 0), 'an edge may have at most 16384'],
    ['a PNG with a wrong checksum', broken('rgb.png', 100), 'the checksum of its IDAT chunk does not match'],
    ['a broken WebP', broken('lossless.webp', 30), 'the browser cannot decode this image/webp'],
    ['a broken AVIF', broken('420.avif', 277), 'the browser cannot decode this image/avif'],
    ['a broken GIF', broken('still.gif', 800), 'the browser cannot decode this image/gif'],
    ['a JPEG with broken tables', broken('420.jpg', 200), 'the browser cannot decode this image/jpeg'],
  ] as const)('%s', async ([, bytes, cause]) => {
    const outcome = await decode(bytes);
    expect(outcome).toMatchObject({ code: 'unreadable_image', param: 'messages[0].content[1].image_url' });
    expect(outcome).toHaveProperty('message', expect.stringContaining(`messages[0].content[1].image_url`));
    expect(outcome).toHaveProperty('message', expect.stringContaining(cause));
  });

  it('an image where a canvas gives noise and there is no WebGPU', async () => {
    const outcome = await decode(bytesOf('rgb.png'), 'noise, no WebGPU');
    expect(outcome).toHaveProperty('message', expect.stringContaining('Allow this site to read canvases'));
  });
});
