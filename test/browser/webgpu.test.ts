import { expect, test } from 'vitest';
import { browserName, openPage } from './harness/harness.ts';

/** A module worker that doubles 64 numbers on the GPU. */
const doubling = `
const adapter = await navigator.gpu.requestAdapter();
if (!adapter) throw new Error('no adapter');
const device = await adapter.requestDevice();
const size = 256;
const { STORAGE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
const numbers = device.createBuffer({ size, usage: STORAGE | COPY_SRC | COPY_DST });
const copy = device.createBuffer({ size, usage: MAP_READ | COPY_DST });
device.queue.writeBuffer(numbers, 0, Float32Array.from({ length: 64 }, (_, i) => i));
const module = device.createShaderModule({ code: \`
  @group(0) @binding(0) var<storage, read_write> numbers: array<f32>;
  @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) { numbers[id.x] *= 2; }\` });
const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module } });
const layout = pipeline.getBindGroupLayout(0);
const bindGroup = device.createBindGroup({ layout, entries: [{ binding: 0, resource: { buffer: numbers } }] });
const encoder = device.createCommandEncoder();
const pass = encoder.beginComputePass();
pass.setPipeline(pipeline);
pass.setBindGroup(0, bindGroup);
pass.dispatchWorkgroups(1);
pass.end();
encoder.copyBufferToBuffer(numbers, 0, copy, 0, size);
device.queue.submit([encoder.finish()]);
await copy.mapAsync(GPUMapMode.READ);
postMessage({ doubled: [...new Float32Array(copy.getMappedRange())], features: [...adapter.features] });
`;

test('a module worker computes on WebGPU', async () => {
  await using page = await openPage({
    answer: ({ url }) =>
      url.endsWith('/doubling.js')
        ? new Response(doubling, {
            headers: { 'content-type': 'text/javascript', 'cross-origin-embedder-policy': 'require-corp' },
          })
        : undefined,
  });
  const { doubled, features } = await page.evaluate(
    () =>
      new Promise<{ doubled: number[]; features: string[] }>((resolve, reject) => {
        const worker = new Worker('/doubling.js', { type: 'module' });
        worker.onmessage = ({ data }) => resolve(data);
        worker.onerror = ({ message }) => reject(new Error(message || 'the worker did not start'));
      }),
  );
  expect(doubled).toEqual(Array.from({ length: 64 }, (_, i) => 2 * i));
  // The two adapters cover both dtype paths between them.
  expect(features.includes('shader-f16')).toBe(browserName === 'firefox');
  expect(page.foreign).toEqual([]);
});
