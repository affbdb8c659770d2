import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { Gpu } from '../../../worker/gpu/device.ts';
import { Readback } from '../../../worker/gpu/readback.ts';
import { GpuViews } from '../../../worker/webgpu/gpu-image-splitter.ts';
import type { Picture } from '../../../worker/families/processor.ts';
import {
  cutViews,
  gridOf,
  normalise,
  type ViewSettings,
  viewCount,
} from '../../../worker/families/idefics3/idefics3-tiles.ts';
import { openGpu } from '../decode/rig.ts';
import { pattern, readJson } from './fixtures.ts';

interface Views extends ViewSettings {
  picture: [number, number];
}

/** What the Python reference was asked as well, and then what only the GPU has to take care of. */
const cases: Views[] = [
  ...readJson<Views[]>('views.json'),
  // Several bands, the last of odd length; a strip that is shrunk vertically first, twice; no scaling at all.
  ...[
    [2477, 2351],
    [9, 1601],
    [192, 192],
    [1, 1],
  ].map(([width = 1, height = 1], at): Views => {
    const levels = { mean: [0.5, 0.4, 0.3], std: [0.5, 0.2, 0.7] };
    return { picture: [width, height], size: 96, longestEdge: 192, splitting: at % 2 === 0, ...levels };
  }),
];

const { signal } = new AbortController();
let gpu: Gpu;
let views: GpuViews;

beforeAll(async () => {
  gpu = await openGpu();
  views = new GpuViews(gpu.device);
}, 120_000);

afterAll(() => gpu.close());

test.for(cases)('$picture in views of $size (splitting: $splitting) as on the CPU, to the bit', async (settings) => {
  const image = pattern(...settings.picture);
  const grid = settings.splitting ? gridOf(image, settings) : { rows: 0, columns: 0 };
  const frames = viewCount(grid);
  const wanted = normalise(cutViews(image, grid, settings), settings);
  const picture: Picture = {
    key: '',
    frames,
    tokens: frames,
    size: settings.size,
    grid,
    settings,
    pixels: async () => image,
    pixelValues: async () => wanted,
  };
  const readback = new Readback(gpu.device);
  const opened = await views.open(picture, signal);
  const length = 3 * settings.size ** 2;
  for (let first = 0; first < frames; first += 4) {
    const count = Math.min(4, frames - first);
    const batch = await opened.batch(first, count);
    if (batch instanceof Float32Array) throw new Error('not on the GPU');
    const seen = new Uint8Array(await readback.read(batch, 0, count * length * 4));
    const bytes = new Uint8Array(wanted.buffer, first * length * 4, seen.length);
    expect(Buffer.compare(seen, bytes)).toBe(0);
  }
  opened.close();
  readback.close();
  expect(gpu.fault.aborted).toBe(false);
});

test('what fails while it is cut leaves no buffer behind', async () => {
  const made = vi.spyOn(GPUDevice.prototype, 'createBuffer');
  const destroyed = vi.spyOn(GPUBuffer.prototype, 'destroy');
  const settings = { ...cases[0]!, size: NaN };
  const picture = { grid: { rows: 0, columns: 0 }, settings, pixels: async () => pattern(9, 9) } as never as Picture;
  await expect(views.open(picture, signal)).rejects.toThrow();
  const buffers = made.mock.results.filter(({ type }) => type === 'return').length;
  const gone = destroyed.mock.calls.length;
  vi.restoreAllMocks();
  expect(buffers).toBeGreaterThan(0);
  expect(gone).toBe(buffers);
});
