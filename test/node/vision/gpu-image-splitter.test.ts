import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { CropLayout, Resize, Rgb, SplitPlan } from '../../../worker/backend/image-splitter.ts';
import { type ImageSettings, NO_TILES, splitPlan, tileGrid } from '../../../worker/families/idefics3/idefics3-tiles.ts';
import type { Gpu } from '../../../worker/webgpu/gpu-device.ts';
import { Readback } from '../../../worker/webgpu/buffer-readback.ts';
import { cpuImageSplitter } from '../../../worker/vision/cpu-image-splitter.ts';
import { planes } from '../../../worker/vision/crop-layout.ts';
import { patchLayout } from '../../../worker/vision/patch-layout.ts';
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

async function expectSame(image: Rgb, plan: SplitPlan, most = 4, onGpu = splitter): Promise<void> {
  const readback = new Readback(gpu.device);
  const expected = cpuImageSplitter.split(image, plan);
  const crops = onGpu.split(image, plan);
  for (let first = 0; first < plan.crops.length; first += most) {
    const count = Math.min(most, plan.crops.length - first);
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
  const layout = planes(33, 33);
  const resizes = [
    { width: 150, height: 70 },
    { width: 40, height: 90 },
  ];
  const crops = [
    { resize: 1, left: 7, top: 57, layout },
    { resize: 0, left: 117, top: 3, layout },
    { resize: 1, left: 0, top: 0, layout },
  ];
  await expectSame(pattern(61, 83), { filter: 'lanczos', resizes, crops, cropValues: 3 * 33 ** 2, ...levels });
});

test.for(['lanczos', 'bicubic', 'bilinear'] as const)(
  'crops with layouts of their own, from parts of resizes of the image (%s): the same bits as on the CPU',
  async (filter) => {
    const resizes: Resize[] = [
      { width: 70, height: 300, part: { left: 5, top: 100, width: 40, height: 24 } },
      { width: 32, height: 96, ofImage: true },
      { width: 24, height: 24, part: { left: 3, top: 8, width: 16, height: 16 }, ofImage: true },
    ];
    const flat: CropLayout = patchLayout(2, 3, { patch: 8, channelsLast: true });
    const frames: CropLayout = patchLayout(4, 2, { patch: 4, merge: 2, frames: 2 });
    const crops = [
      { resize: 1, left: 0, top: 40, layout: planes(20, 30) },
      { resize: 0, left: 9, top: 1, layout: flat },
      { resize: 1, left: 3, top: 5, layout: frames },
      { resize: 2, left: 0, top: 0, layout: patchLayout(1, 2, { patch: 8 }) },
    ];
    for (const [width, height] of [
      [61, 83],
      [9, 1601],
    ] as const) {
      const plan = { filter, resizes, crops, cropValues: 2000, ...levels };
      // The second batch is written over the first, which has more values.
      await expectSame(pattern(width, height), plan, 2);
    }
  },
);

test('an image that no binding holds is resized on the CPU: the same bits', async () => {
  const limits = { maxStorageBufferBindingSize: 40_000 };
  const device = new Proxy(gpu.device, {
    get(target, name) {
      if (name === 'limits') return limits;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  const part = { left: 10, top: 0, width: 64, height: 64 };
  const resizes = [{ width: 90, height: 64, part }];
  const plan: SplitPlan = {
    filter: 'bicubic',
    resizes,
    crops: [{ resize: 0, left: 0, top: 0, layout: planes(64, 64) }],
    cropValues: 3 * 64 ** 2,
    ...levels,
  };
  await expectSame(pattern(120, 200), plan, 1, new GpuImageSplitter(device));
});

test('an error while splitting destroys all buffers', () => {
  const made = vi.spyOn(GPUDevice.prototype, 'createBuffer');
  const destroyed = vi.spyOn(GPUBuffer.prototype, 'destroy');
  const resizes = [{ width: 9, height: NaN }];
  const plan: SplitPlan = { filter: 'lanczos', resizes, crops: [], cropValues: 9, ...levels };
  expect(() => splitter.split(pattern(9, 9), plan)).toThrow();
  const buffers = made.mock.results.filter(({ type }) => type === 'return').length;
  const gone = destroyed.mock.calls.length;
  vi.restoreAllMocks();
  expect(buffers).toBeGreaterThan(0);
  expect(gone).toBe(buffers);
});
