import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { findAdapter, Gpu } from '../../../worker/webgpu/gpu-device.ts';
import { Readback } from '../../../worker/webgpu/buffer-readback.ts';
import { COPY_DST, COPY_SRC } from '../../../worker/webgpu/buffer-usage.ts';
import { softwareWorkarounds } from '../../../worker/webgpu/software-adapter.ts';
import { openGpu } from '../engines/dawn-engine.ts';
import { fakeAdapter } from './fake-gpu.ts';

let gpu: Gpu;

beforeAll(async () => {
  gpu = await openGpu();
});

afterAll(() => gpu.close());

test('there is no adapter where the browser rejects, gives one without info, or never answers', async () => {
  vi.useFakeTimers();
  const { adapter } = fakeAdapter();
  for (const [requestAdapter, found] of [
    [() => Promise.reject(new Error('the GPU process crashed')), null],
    [async () => ({ features: new Set(), limits: {} }), null],
    [() => new Promise(() => {}), null],
    [async () => null, null],
    [async () => adapter, adapter],
  ] as const) {
    vi.stubGlobal('navigator', { gpu: { requestAdapter } });
    const finding = findAdapter();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(await finding).toBe(found);
  }
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test('an adapter that never creates its device is unsupported within a bounded time', async () => {
  vi.useFakeTimers();
  const { adapter } = fakeAdapter();
  adapter.requestDevice = () => new Promise(() => {});
  const refused = expect(Gpu.open(adapter)).rejects.toMatchObject({
    code: 'unsupported_device',
    message: expect.stringContaining('did not answer'),
  });
  await vi.advanceTimersByTimeAsync(10_000);
  await refused;
  vi.useRealTimers();
});

test('an adapter that creates no device is unsupported, and the error has its message', async () => {
  const adapter = (await findAdapter())!;
  // An adapter creates one device only.
  await Gpu.open(adapter).then((opened) => opened.close());
  await expect(Gpu.open(adapter)).rejects.toMatchObject({
    code: 'unsupported_device',
    message: expect.stringMatching(/^The GPU device could not be created: ./),
    cause: expect.anything(),
  });
});

test.each([
  [0, 16],
  [0, 6],
  [2, 6],
  [3, 1],
  [6, 10],
  [13, 3],
])('from byte %i on, %i bytes are read, aligned to words or not', async (offset, size) => {
  const source = gpu.device.createBuffer({ size: 16, usage: COPY_SRC | COPY_DST });
  const bytes = Uint8Array.from({ length: 16 }, (_, at) => at + 1);
  gpu.device.queue.writeBuffer(source, 0, bytes);
  const readback = new Readback(gpu.device);
  const read = new Uint8Array(await readback.read(source, offset, size));
  expect([...read]).toEqual([...bytes.subarray(offset, offset + size)]);
  readback.close();
  source.destroy();
  expect(gpu.fault.aborted).toBe(false);
});

test('only features that are used are requested', async () => {
  const { adapter, requested } = fakeAdapter({
    features: ['shader-f16', 'subgroups', 'timestamp-query', 'texture-compression-bc'],
    info: { subgroupMinSize: 32 },
  });
  await Gpu.open(adapter);
  expect(requested.map(({ requiredFeatures }) => requiredFeatures)).toEqual([['shader-f16', 'subgroups']]);
});

test('only software adapters have workarounds', () => {
  const of = (info: Partial<GPUAdapterInfo>) => softwareWorkarounds(fakeAdapter({ info }).adapter);
  expect(of({ vendor: 'nvidia', architecture: 'ampere' })).toEqual({});
  expect(of({ vendor: '', isFallbackAdapter: true })).toMatchObject({ maxRows: 31, unfusedVisionAttention: true });
  expect(of({ vendor: 'google', architecture: 'swiftshader' })).toEqual({ singleCrop: true });
});
