import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import * as ort from 'onnxruntime-node';
import { bytesIn, type ByteSource, FileBytes } from '../../../src/bytes/file-bytes.ts';
import { encoderInputs } from '../../../worker/families/idefics3/idefics3-inputs.ts';
import { embedByTable } from '../../../worker/onnx/embed-tokens.ts';
import { embeddingTable, type EmbeddingTable } from '../../../worker/onnx/embedding-table.ts';
import type { GraphFile } from '../../../worker/onnx/model/external-data.ts';
import { decode, encode, encodeApart, type Graph } from '../../../worker/onnx/model/graph.ts';
import { optimizeDecoder } from '../../../worker/onnx/optimize/optimize-decoder.ts';
import { optimizeVision } from '../../../worker/onnx/optimize/optimize-vision.ts';
import { fileOnDisk, type FileOnDisk } from './file-on-disk.ts';
import { evaluate, glimpse, Native, readAll, singleFile } from './optimize-graphs.ts';
import { split } from './split-graph.ts';
import { toyDecoder, toyEmbed } from './toy-graphs.ts';

const PATHS = ['weights.bin', 'more/weights.bin'];

const FILES: [string, Uint8Array][] = [
  ['decoder of glimpse', glimpse('decoder_model_merged_q4')],
  ['decoder of glimpse in float16', glimpse('decoder_model_merged_q4f16')],
  ['vision encoder of glimpse', glimpse('vision_encoder_q4')],
  ['embeddings of glimpse', glimpse('embed_tokens_q4f16')],
  ['toy decoder', toyDecoder()],
  ['toy embeddings', toyEmbed('float16')],
];

/** In place of bytes, which take seconds to compare one by one. */
const digest = (bytes: ByteSource | undefined): string | undefined =>
  bytes && createHash('sha1').update(bytesIn(bytes)).digest('hex');

/** Everything in a graph, with all bytes read. */
function contentOf({ tensors, shapes, rest, modelRest, nodes, inputs, outputs, opsets }: Graph): unknown {
  return {
    nodes,
    inputs,
    outputs,
    opsets,
    tensors: [...tensors.values()].map(({ data, raw, ...tensor }) => ({
      ...tensor,
      data: digest(data),
      raw: digest(raw),
    })),
    bytes: [shapes, rest, modelRest].map((list) => list.map(digest)),
  };
}

const bytesRead = ({ reads }: FileOnDisk): number => reads.reduce((sum, { bytes }) => sum + bytes, 0);

/** The same files, none of them read. */
function onDisk({ graph, externalData }: GraphFile): { model: GraphFile; disks: FileOnDisk[] } {
  const disks = [graph, ...externalData.map(({ data }) => data)].map((bytes) => fileOnDisk(bytesIn(bytes)));
  const model = {
    graph: disks[0]!.file,
    externalData: externalData.map(({ path }, index) => ({ path, data: disks[index + 1]!.file })),
  };
  return { model, disks };
}

/** What onnxruntime gets: the graph, and the bytes that it refers to. */
function opened({ graph, externalData }: GraphFile): unknown {
  const { tensors } = decode({ graph, externalData });
  const weights = [...tensors].map(([name, { type, dims, data }]) => [name, type, dims, digest(data)]);
  return { graph: digest(graph), weights };
}

describe('a graph in a file on disk', () => {
  test.each(FILES)('is the same as in memory, written too: %s', (_, bytes) => {
    const graph = decode({ graph: fileOnDisk(bytes).file, externalData: [] });
    const expected = decode(singleFile(bytes));
    expect(contentOf(graph)).toEqual(contentOf(expected));
    expect(digest(encode(graph))).toBe(digest(encode(expected)));
    expect(digest(encodeApart(graph).graph)).toBe(digest(encodeApart(expected).graph));
  });

  test('is the same with its weights in other files', () => {
    const apart = split(FILES[0]![1], PATHS);
    const { model, disks } = onDisk(apart);
    const graph = decode(model);
    expect(disks.slice(1).map(({ reads }) => reads)).toEqual([[], []]);
    expect(contentOf(graph)).toEqual(contentOf(decode(apart)));
    expect(digest(encodeApart(graph).graph)).toBe(digest(encodeApart(decode(apart)).graph));
  });

  test.each([
    ['decoder_model_merged_q4', 0.25],
    ['vision_encoder_q4', 0.25],
    ['embed_tokens_q4', 0.02],
  ])('is read but for its weights: %s', (name, share) => {
    const bytes = glimpse(name);
    const disk = fileOnDisk(bytes);
    const graph = decode({ graph: disk.file, externalData: [] });
    encodeApart(graph);
    const large = [...graph.tensors.values()].filter(({ data }) => data && data.byteLength >= 1 << 14);
    expect(large.every(({ data }) => data instanceof FileBytes)).toBe(true);
    expect(bytesRead(disk) / bytes.length).toBeLessThan(share);
    // At most one read for each tensor, and some for the nodes between them.
    expect(disk.reads.length).toBeLessThan(graph.tensors.size + bytes.length / (1 << 16) + 8);
  });
});

describe('the optimizer gives the same from a file on disk', () => {
  test.each([
    ['glimpse', glimpse('decoder_model_merged_q4'), undefined],
    ['glimpse, dequantized', glimpse('decoder_model_merged_q4'), { bytes: 64 << 20 }],
    ['a toy of late 2025', toyDecoder(), undefined],
    ['a toy of early 2025', toyDecoder({ rotary: 'input', allRows: true, positions: 128 }), undefined],
  ])('for the decoder of %s', async (_, bytes, memoryBudget) => {
    const options = { positions: 64, evaluate, memoryBudget };
    const expected = await optimizeDecoder(singleFile(bytes), options);
    const disk = fileOnDisk(bytes);
    const actual = await optimizeDecoder({ graph: disk.file, externalData: [] }, options);
    expect(actual.outcomes).toEqual(expected.outcomes);
    const read = bytesRead(disk);
    if (bytes.length > 1 << 20) expect(read / bytes.length).toBeLessThan(0.3);
    expect(opened(actual)).toEqual(opened(expected));
    expect(bytesRead(disk)).toBeGreaterThan(read);
    if (expected.layer) expect(opened(actual.layer!)).toEqual(opened(expected.layer));
  });

  test('for a vision encoder', async () => {
    const bytes = glimpse('vision_encoder_q4');
    const options = { inputs: encoderInputs(96, 0), evaluate, attention: true };
    const expected = await optimizeVision(singleFile(bytes), options);
    const actual = await optimizeVision({ graph: fileOnDisk(bytes).file, externalData: [] }, options);
    expect(actual.outcomes).toEqual(expected.outcomes);
    expect(opened(actual)).toEqual(opened(expected));
    expect(opened(actual.layer!)).toEqual(opened(expected.layer!));
  });

  test('for dequantized weights, each of which is read when it is asked for', async () => {
    const bytes = glimpse('decoder_model_merged_q4');
    const disk = fileOnDisk(bytes);
    const options = { positions: 64, evaluate, memoryBudget: { bytes: 64 << 20 } };
    const { externalData } = await optimizeDecoder({ graph: disk.file, externalData: [] }, options);
    const [, ...weights] = externalData;
    expect(weights.length).toBeGreaterThan(10);
    for (const { data } of weights) {
      disk.reads.length = 0;
      const floats = data.subarray(0, data.byteLength);
      expect(floats.byteLength).toBe(data.byteLength);
      // Four bits and a scale for each block, instead of 32 bits; a short read reads ahead.
      expect(bytesRead(disk)).toBeLessThanOrEqual(data.byteLength / 4 + (8 << 10));
      expect(bytesRead(disk)).toBeGreaterThanOrEqual(data.byteLength / 8);
    }
  });

  test('and native ORT the same logits', async () => {
    const bytes = glimpse('decoder_model_merged_q4');
    const optimized = await optimizeDecoder(onDisk(singleFile(bytes)).model, { positions: 64, evaluate });
    const [before, after] = [await Native.open(bytes), await Native.open(optimized)];
    const [expected, actual] = [await readAll(before, [6, 1]), await readAll(after, [6, 1])];
    for (const [step, logits] of expected.entries()) {
      for (const [at, logit] of logits.entries()) expect(actual[step]![at]).toBeCloseTo(logit, 3);
    }
    await before.close();
    await after.close();
  });
});

test('a table of embeddings in a file is found without being read, and read once', async () => {
  const bytes = glimpse('embed_tokens_q4f16');
  const disk = fileOnDisk(bytes);
  const table = embeddingTable({ graph: disk.file, externalData: [] })!;
  expect(bytesRead(disk)).toBeLessThan(16 << 10);
  const embed = embedByTable(ort, table);
  const expected = embedByTable(ort, embeddingTable(singleFile(bytes))!);
  const ids = Int32Array.of(5, 0, table.rows - 1);
  disk.reads.length = 0;
  expect((await embed(ids)).data).toEqual((await expected(ids)).data);
  expect(disk.reads).toEqual([]);
});

test('a table with more bytes than memory is for stays on disk: rows that are close together are read at once', async () => {
  const [rows, width] = [100_000, 4];
  const floats = Float32Array.from({ length: rows * width }, (_, at) => at);
  // At an odd offset: a table may start anywhere in its file.
  const disk = fileOnDisk(new Uint8Array(await new Blob(['.', floats]).arrayBuffer()));
  const data = disk.file.view(1, disk.file.byteLength);
  const table: EmbeddingTable = { rows, width, type: 'float32', data };
  const embed = embedByTable(ort, table, data.byteLength - 1);
  const ids = Int32Array.of(99_999, 7, 0, 20_000, 7, 60_000);
  const expected = [...ids].flatMap((id) => [0, 1, 2, 3].map((at) => id * width + at));
  disk.reads.length = 0;
  expect([...((await embed(ids)).data as Float32Array)]).toEqual(expected);
  expect(disk.reads).toEqual([
    { at: 1, bytes: 20_001 * 16 },
    { at: 1 + 60_000 * 16, bytes: 4096 },
    { at: 1 + 99_999 * 16, bytes: 16 },
  ]);
});

test('a file that is deleted while it is decoded is load_failed', () => {
  const disk = fileOnDisk(glimpse('decoder_model_merged_q4'));
  disk.remove();
  expect(() => decode({ graph: disk.file, externalData: [] })).toThrow(
    expect.objectContaining({ code: 'load_failed' }),
  );
});
