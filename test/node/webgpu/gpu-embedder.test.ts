import { afterAll, beforeAll, expect, test } from 'vitest';
import * as ort from 'onnxruntime-node';
import { embedByTable } from '../../../worker/onnx/embed-tokens.ts';
import { embeddingTable } from '../../../worker/onnx/embedding-table.ts';
import { Readback } from '../../../worker/webgpu/buffer-readback.ts';
import { COPY_DST, STORAGE } from '../../../worker/webgpu/buffer-usage.ts';
import type { Gpu } from '../../../worker/webgpu/gpu-device.ts';
import { GpuEmbedder } from '../../../worker/webgpu/gpu-embedder.ts';
import { submit } from '../../../worker/webgpu/kernel.ts';
import { quantizedGather, quantizeEmbeddings } from '../../fixtures/quantize-embeddings.ts';
import { openGpu } from '../engines/dawn-engine.ts';
import { glimpse, pseudoRandom, singleFile } from '../onnx/optimize-graphs.ts';

let gpu: Gpu;

beforeAll(async () => {
  gpu = await openGpu();
}, 120_000);

afterAll(() => gpu?.close());

test.each([
  ['float32', glimpse('embed_tokens_q4')],
  ['half precision', glimpse('embed_tokens_q4f16')],
  ['4 bits with zero points', quantizeEmbeddings(glimpse('embed_tokens_q4'), true)],
  ['4 bits without zero points', quantizeEmbeddings(glimpse('embed_tokens_q4'), false)],
  ['4 bits, an odd number of blocks', quantizedGather(pseudoRandom(49 * 96, 5), 49, 96, true)],
])('looks up the same bits as the CPU: %s', async (_, file) => {
  const table = embeddingTable(singleFile(file));
  if (!table) throw new Error('no table');
  const { device } = gpu;
  const sampled = device.createBuffer({ size: 4, usage: STORAGE | COPY_DST });
  const embedder = new GpuEmbedder(device, table, 4, sampled);
  expect(GpuEmbedder.fits(table, device.limits)).toBe(true);
  await embedder.upload(table);
  const ids = Int32Array.of(0, table.rows - 1, 7, 8);
  const bytes = ids.length * table.width * 4;
  const readback = new Readback(device);
  const read = async (encode: (encoder: GPUCommandEncoder) => void): Promise<Uint8Array> => {
    submit(device, encode);
    return new Uint8Array(await readback.read(embedder.embeddings, 0, bytes));
  };
  const expected = async (...tokens: number[]): Promise<Uint8Array> => {
    const { data } = await embedByTable(ort, table)(Int32Array.from(tokens));
    return new Uint8Array((data as Float32Array).buffer);
  };
  expect(await read((encoder) => embedder.embedTokens(encoder, ids))).toEqual(await expected(...ids));
  device.queue.writeBuffer(sampled, 0, Int32Array.of(9));
  const sampledRow = await read((encoder) => {
    const pass = encoder.beginComputePass();
    embedder.embedSampled(pass);
    pass.end();
  });
  expect(sampledRow.subarray(0, table.width * 4)).toEqual(await expected(9));
  embedder.close();
});
