import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { Rgb, SplitPlan } from '../../../worker/backend/image-splitter.ts';
import { type ImageSettings, NO_TILES, splitPlan, tileGrid } from '../../../worker/families/idefics3/idefics3-tiles.ts';
import type { Gpu } from '../../../worker/webgpu/gpu-device.ts';
import { Readback } from '../../../worker/webgpu/buffer-readback.ts';
import { cpuImageSplitter } from '../../../worker/vision/cpu-image-splitter.ts';
import { GpuImageSplitter } from '../../../worker/webgpu/gpu-image-splitter.ts';
import { openGpu } from '../engines/dawn-engine.ts';
import { type GoldenCrops, pattern, readJson } from './fixtures.ts';

const levels = { mean: [0.5, 0.4, 0.3], std: [0.5, 0.2, 0.7] };

/** The cases of the Python reference, then cases that only the GPU treats differently. */
const cases: { image: readonly [number, number]; settings: ImageSettings }[] = [
  ...readJson<GoldenCrops[]>('crops.json').map((golden) => ({
    image: golden.image,
    settings: { ...golden, cropSize: golden.size },
  })),
  // Several bands, the last of odd length; a strip with the vertical pass first; no scaling; one pixel.
  ...(
    [
      [2477, 2351],
      [9, 1601],
      [192, 192],
      [1, 1],
    ] as const
  ).map((image, at) => ({
    image,
    settings: { cropSize: 96, longestEdge: 192, splitting: at % 2 === 0, ...levels },
  })),
];

let gpu: Gpu;
let splitter: GpuImageSplitter;

beforeAll(async () => {
  gpu = await openGpu();
  splitter = new GpuImageSplitter(gpu.device);
}, 120_000);

afterAll(() => gpu.close());

async function expectSame(image: Rgb, plan: SplitPlan): Promise<void> {
  const readback = new Readback(gpu.device);
  const expected = cpuImageSplitter.split(image, plan);
  const crops = splitter.split(image, plan);
  for (let first = 0; first < plan.crops.length; first += 4) {
    const count = Math.min(4, plan.crops.length - first);
    const [batch, values] = [await crops.batch(first, count), await expected.batch(first, count)];
    if (batch instanceof Float32Array || !(values instanceof Float32Array))
      throw new Error('crops are not on the GPU, or not in memory');
    const actual = await readback.read(batch, 0, values.byteLength);
    expect(Buffer.compare(new Uint8Array(actual), new Uint8Array(values.buffer))).toBe(0);
  }
  crops.close();
  readback.close();
  expect(gpu.fault.aborted).toBe(false);
}

test.for(cases)(
  '$image in crops of $settings.cropSize (tiles: $settings.splitting): the same bits as on the CPU',
  async ({ image: size, settings }) => {
    const image = pattern(...size);
    await expectSame(image, splitPlan(image, settings.splitting ? tileGrid(image, settings) : NO_TILES, settings));
  },
);

test('crops at any position of any resize, in any order: the same bits as on the CPU', async () => {
  const resizes = [
    { width: 150, height: 70 },
    { width: 40, height: 90 },
  ];
  const crops = [
    { resize: 1, left: 7, top: 57 },
    { resize: 0, left: 117, top: 3 },
    { resize: 1, left: 0, top: 0 },
  ];
  await expectSame(pattern(61, 83), { resizes, crops, cropSize: 33, ...levels });
});

test('an error while splitting destroys all buffers', () => {
  const made = vi.spyOn(GPUDevice.prototype, 'createBuffer');
  const destroyed = vi.spyOn(GPUBuffer.prototype, 'destroy');
  const plan = { resizes: [{ width: 9, height: NaN }], crops: [], cropSize: 9, ...levels };
  expect(() => splitter.split(pattern(9, 9), plan)).toThrow();
  const buffers = made.mock.results.filter(({ type }) => type === 'return').length;
  const gone = destroyed.mock.calls.length;
  vi.restoreAllMocks();
  expect(buffers).toBeGreaterThan(0);
  expect(gone).toBe(buffers);
});
