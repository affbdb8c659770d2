// A worker around the view makers, of the CPU and of the GPU, which compares them. `views.test.ts` builds and serves it.
import { findAdapter, Gpu } from '../../../worker/gpu/device.ts';
import { Readback } from '../../../worker/gpu/readback.ts';
import { GpuViews } from '../../../worker/webgpu/gpu-image-splitter.ts';
import { decodePicture } from '../../../worker/vision/image-decoder.ts';
import type { Rgb } from '../../../worker/vision/resample.ts';
import {
  cutViews,
  gridOf,
  normalise,
  viewCount,
  type ViewSettings,
} from '../../../worker/families/idefics3/idefics3-tiles.ts';

interface Order {
  bytes: Uint8Array<ArrayBuffer>;
  settings: ViewSettings;
}

/** How many values there are, and how many of them differ in any bit. */
export type Outcome = { values: number; different: number } | { error: string };

async function compare({ bytes, settings }: Order): Promise<Outcome> {
  const part = { type: 'picture', detail: 'low', bytes, param: 'a picture' } as const;
  const image = await decodePicture(part, 10_000_000);
  const grid = settings.splitting ? gridOf(image, settings) : { rows: 0, columns: 0 };
  const wanted = normalise(cutViews(image, grid, settings), settings);
  const seen = await onGpu(image, grid, settings);
  const [one, other] = [new Uint32Array(wanted.buffer), new Uint32Array(seen)];
  return { values: one.length, different: one.filter((word, at) => word !== other[at]).length };
}

async function onGpu(image: Rgb, grid: ReturnType<typeof gridOf>, settings: ViewSettings): Promise<ArrayBuffer> {
  const adapter = await findAdapter();
  if (!adapter) throw new Error('there is no adapter');
  const gpu = await Gpu.open(adapter);
  const frames = viewCount(grid);
  const { size } = settings;
  const pixels = async (): Promise<Rgb> => image;
  const pixelValues = (): Promise<never> => Promise.reject(new Error('not asked for'));
  const picture = { key: '', frames, tokens: frames, size, grid, settings, pixels, pixelValues };
  const views = await new GpuViews(gpu.device).open(picture, new AbortController().signal);
  const batch = await views.batch(0, frames);
  if (batch instanceof Float32Array) throw new Error('not on the GPU');
  const values = await new Readback(gpu.device).read(batch, 0, frames * 3 * size * size * 4);
  if (gpu.fault.aborted) throw gpu.fault.reason;
  gpu.close();
  return values;
}

addEventListener('message', ({ data }: MessageEvent<Order>) => {
  compare(data).then(postMessage, (error: unknown) => postMessage({ error: String(error) } satisfies Outcome));
});
