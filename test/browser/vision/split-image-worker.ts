// A worker that compares the image splitters of CPU and GPU. `split-image.test.ts` builds and serves it.
import type { Rgb, SplitPlan } from '../../../worker/backend/image-splitter.ts';
import { type ImageSettings, NO_TILES, splitPlan, tileGrid } from '../../../worker/families/idefics3/idefics3-tiles.ts';
import {
  type ImageSettings as PatchSettings,
  patchGrid,
  patchPlan,
} from '../../../worker/families/qwen/qwen-settings.ts';
import { findAdapter, Gpu } from '../../../worker/webgpu/gpu-device.ts';
import { Readback } from '../../../worker/webgpu/buffer-readback.ts';
import { cpuImageSplitter } from '../../../worker/vision/cpu-image-splitter.ts';
import { decodeImage } from '../../../worker/vision/image-decoder.ts';
import { GpuImageSplitter } from '../../../worker/webgpu/gpu-image-splitter.ts';

interface Order {
  bytes: Uint8Array<ArrayBuffer>;
  settings: ImageSettings | PatchSettings;
}

/** The number of values, and of values that differ in any bit. */
export type Outcome = { values: number; different: number } | { error: string };

async function compare({ bytes, settings }: Order): Promise<Outcome> {
  const part = { type: 'image', detail: 'low', bytes, param: 'an image' } as const;
  const image = await decodeImage(part, 10_000_000);
  const plan = planOf(image, settings);
  const expected = await cpuImageSplitter.split(image, plan).batch(0, plan.crops.length);
  if (!(expected instanceof Float32Array)) throw new Error('not in memory');
  const actual = await splitOnGpu(image, plan, expected.byteLength);
  const [one, other] = [new Uint32Array(expected.buffer), new Uint32Array(actual)];
  return { values: one.length, different: one.filter((word, at) => word !== other[at]).length };
}

function planOf(image: Rgb, settings: Order['settings']): SplitPlan {
  if ('patch' in settings) return patchPlan(patchGrid({ ...image, detail: 'auto' }, settings, 'image'), settings);
  return splitPlan(image, settings.splitting ? tileGrid(image, settings) : NO_TILES, settings);
}

async function splitOnGpu(image: Rgb, plan: SplitPlan, bytes: number): Promise<ArrayBuffer> {
  const adapter = await findAdapter();
  if (!adapter) throw new Error('there is no adapter');
  const gpu = await Gpu.open(adapter);
  const batch = await new GpuImageSplitter(gpu.device).split(image, plan).batch(0, plan.crops.length);
  if (batch instanceof Float32Array) throw new Error('not on the GPU');
  const values = await new Readback(gpu.device).read(batch, 0, bytes);
  if (gpu.fault.aborted) throw gpu.fault.reason;
  gpu.close();
  return values;
}

addEventListener('message', ({ data }: MessageEvent<Order>) => {
  compare(data).then(postMessage, (error: unknown) => postMessage({ error: String(error) } satisfies Outcome));
});
