/**
 * The calls to WebGPU that a decoded token takes. The numbers are the same on every GPU, so they can be tests; times are
 * in the benchmark (`npm run bench`). `tools/counters/patch.mjs` says what is counted and what a wait is.
 */
import { expect, test } from 'vitest';
import { openCounted, perToken } from './counted-page.ts';

/** 1279 is <end_of_utterance>. */
const END = 1279;

/** Twenty steps with a readback each, which the loop awaits `behind` steps later. */
const steps = (behind: number): string => `
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
  await reads[step - ${behind}];
}
await Promise.all(reads);
postMessage('done');
`;

test.each([
  // The loop waits for each of them.
  [0, 20],
  // Only the last is a wait, because nothing is submitted after it.
  [2, 1],
])('a loop that reads %i steps behind waits for %i of 20', async (behind, waits) => {
  const headers = { 'content-type': 'text/javascript', 'cross-origin-embedder-policy': 'require-corp' };
  await using page = await openCounted(({ url }) =>
    url.endsWith('/steps.js') ? new Response(steps(behind), { headers }) : undefined,
  );
  const counts = await page.evaluate(async () => {
    const worker = new Worker('/steps.js', { type: 'module' });
    const nextMessage = (): Promise<unknown> => new Promise((resolve) => (worker.onmessage = resolve));
    await nextMessage();
    await counters.newest().hold(50);
    worker.postMessage('go');
    await nextMessage();
    return counters.newest().take();
  });
  expect(counts).toMatchObject({ waits, maps: 20, submits: 20, readBytes: 320, copies: 20 });
});

test('a decoded token never waits for the GPU, and reads back one token id', { tags: ['long'] }, async () => {
  await using page = await openCounted();
  await page.evaluate(async () => {
    Object.assign(globalThis, { near: nearsight.createNearsight({ model: glimpse, device: 'webgpu' }) });
    await near.load();
  });
  const token = await perToken(page, END, 8, 24);
  // A replayed step of so few dispatches is one submission, sampling and embedding are another.
  expect(Math.round(token.submits)).toBe(2);
  expect(token.dispatches).toBeGreaterThan(0);
  expect(token.readBytes).toBeGreaterThanOrEqual(4);
  expect(token.readBytes).toBeLessThanOrEqual(64);
  expect(token.maps).toBeLessThanOrEqual(1);
  expect(token.waits).toBe(0);
});
