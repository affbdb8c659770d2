/**
 * What a decoded token costs in calls of WebGPU. These numbers are the same on every GPU, so they are tests; times are
 * benchmarks (`npm run bench`). What is counted, and what a wait is: `tools/counters/patch.mjs`.
 */
import { expect, test } from 'vitest';
import { openCounted, perToken } from './counting.ts';

/** 1279 is <end_of_utterance>. */
const END = 1279;

/** Twenty steps that each read a number back: before the next one is submitted, or two steps later. */
const steps = (ahead: number): string => `
const adapter = await navigator.gpu.requestAdapter();
const device = await adapter.requestDevice();
const { COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
const source = device.createBuffer({ size: 16, usage: COPY_SRC | COPY_DST });
const reads = [];
postMessage('ready');
await new Promise((resolve) => (onmessage = resolve));
for (let step = 0; step < 20; step++) {
  const target = device.createBuffer({ size: 16, usage: MAP_READ | COPY_DST });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(source, 0, target, 0, 16);
  device.queue.submit([encoder.finish()]);
  reads.push(target.mapAsync(GPUMapMode.READ));
  await reads[step - ${ahead}];
}
await Promise.all(reads);
postMessage('done');
`;

test.each([
  // Each is waited for, the last as well.
  [0, 20],
  // The last has nothing after it.
  [2, 1],
])('a loop that reads %i steps behind is found to wait for %i of 20', async (ahead, waits) => {
  const headers = { 'content-type': 'text/javascript', 'cross-origin-embedder-policy': 'require-corp' };
  await using page = await openCounted(({ url }) =>
    url.endsWith('/steps.js') ? new Response(steps(ahead), { headers }) : undefined,
  );
  const told = await page.evaluate(async () => {
    const worker = new Worker('/steps.js', { type: 'module' });
    const heard = (): Promise<unknown> => new Promise((resolve) => (worker.onmessage = resolve));
    await heard();
    await counters.newest().hold(50);
    worker.postMessage('go');
    await heard();
    return counters.newest().take();
  });
  expect(told).toMatchObject({ waits, maps: 20, submits: 20, readBytes: 320, copies: 20 });
});

test('a decoded token waits for the GPU not once, and brings back an id', async () => {
  await using page = await openCounted();
  await page.evaluate(async () => {
    Object.assign(globalThis, { near: nearsight.createNearsight({ model: glimpse, device: 'webgpu' }) });
    await near.load();
  });
  const token = await perToken(page, END, 8, 24);
  expect(token.submits).toBeGreaterThan(0);
  expect(token.dispatches).toBeGreaterThan(0);
  expect(token.readBytes).toBeGreaterThanOrEqual(4);
  expect(token.readBytes).toBeLessThanOrEqual(64);
  expect(token.maps).toBeLessThanOrEqual(1);
  expect(token.waits).toBe(0);
});
