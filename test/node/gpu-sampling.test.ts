import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { argmax } from '../../worker/decode/sampler.ts';
import { findAdapter, Gpu } from '../../worker/gpu/device.ts';
import { GreedySampler } from '../../worker/gpu/greedy.ts';
import { Readback } from '../../worker/gpu/readback.ts';
import { type GpuSampler, RING_SLOTS } from '../../worker/gpu/sampling.ts';
import { COPY_DST, STORAGE } from '../../worker/gpu/usage.ts';
import { GREEDY, useDawn } from './decode/rig.ts';

let gpu: Gpu;

beforeAll(async () => {
  useDawn();
  const adapter = await findAdapter();
  if (!adapter) throw new Error('Dawn finds no adapter: has `npm test` set up lavapipe?');
  gpu = await Gpu.open(adapter);
});

afterAll(() => gpu.close());

/** Draws from rows of logits in turn, and reads the ring. */
async function draw(sampler: GpuSampler, rows: ArrayBufferView<ArrayBuffer>[]): Promise<(number | string)[]> {
  const { device } = gpu;
  const draws = sampler.begin(GREEDY, new Int32Array(0), 0);
  if (!draws) throw new Error('not drawn on the GPU');
  const logits = device.createBuffer({ size: rows[0]?.byteLength ?? 0, usage: STORAGE | COPY_DST });
  for (const row of rows) {
    device.queue.writeBuffer(logits, 0, row);
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    draws.encode(pass, logits);
    pass.end();
    device.queue.submit([encoder.finish()]);
  }
  const readback = new Readback(device);
  const ring = new Uint32Array(await readback.read(sampler.ring, 0, RING_SLOTS * draws.entryBytes));
  const [last] = new Uint32Array(await readback.read(sampler.drawn, 0, 4));
  readback.close();
  logits.destroy();
  const words = draws.entryBytes / 4;
  const ids = rows.map((_, at) => {
    try {
      return draws.read(ring.subarray(at * words, (at + 1) * words)).id;
    } catch (error) {
      return String(error);
    }
  });
  if (typeof ids.at(-1) === 'number') expect(last).toBe(ids.at(-1));
  return ids;
}

const VOCAB = 1282;

function random(seed: number): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: VOCAB }, (_, id) => Math.sin(id * 12.9898 + seed) * 20 - 5);
}

describe('greedy draws on the GPU', () => {
  test('are those of the CPU, the lowest id among equals, at any place', async () => {
    const rows = [0, 1, 2, 3, 4].map(random);
    rows[3]!.fill(-7.5);
    rows[4]!.fill(-0).set([0], 900);
    rows.push(random(9), random(10), random(11).fill(-Infinity));
    rows[5]!.set([99, 99], 1280);
    rows[6]!.set([99], 0);
    rows[7]!.set([-3e38], 77);
    const sampler = new GreedySampler(gpu.device, VOCAB, 'float32');
    expect(await draw(sampler, rows)).toEqual(rows.map((row) => argmax(row)));
    sampler.close();
  });

  test('refuse what is not finite, and pass over what is no number', async () => {
    const rows = [random(1).fill(NaN), random(2), random(3), random(4).fill(-Infinity)];
    rows[1]!.set([Infinity], 5);
    rows[2]!.set([NaN, -NaN], 5);
    const sampler = new GreedySampler(gpu.device, VOCAB, 'float32');
    const refusal = expect.stringContaining('no finite logits');
    expect(await draw(sampler, rows)).toEqual([refusal, refusal, argmax(rows[2]!), refusal]);
    sampler.close();
  });

  test('of halves', async () => {
    // 1, 2, -1, +infinity, NaN, the smallest and the largest number.
    const [one, two, minus, infinity, nan, least, most] = [0x3c00, 0x4000, 0xbc00, 0x7c00, 0x7e00, 0x0001, 0x7bff];
    const row = (fill: number, at: number, ...values: number[]): Uint16Array<ArrayBuffer> => {
      const halves = new Uint16Array(VOCAB).fill(fill);
      halves.set(values, at);
      return halves;
    };
    const rows = [
      row(minus, 7, one, two, two),
      row(0x8000, 1281, least),
      row(one, 640, most),
      row(one, 3, infinity),
      row(one, 3, nan, two),
      row(nan, 0),
    ];
    const sampler = new GreedySampler(gpu.device, VOCAB, 'float16');
    const refusal = expect.stringContaining('no finite logits');
    expect(await draw(sampler, rows)).toEqual([8, 1281, 640, refusal, 4, refusal]);
    sampler.close();
  });
});
