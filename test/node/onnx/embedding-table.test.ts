import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import * as ort from 'onnxruntime-node';
import { embedByTable } from '../../../worker/onnx/embed-tokens.ts';
import { decode, encode } from '../../../worker/onnx/model/graph.ts';
import { makeNode, setInt } from '../../../worker/onnx/model/graph-edit.ts';
import { embeddingDevice, embeddingTable } from '../../../worker/onnx/embedding-table.ts';
import { quantizedGather, quantizeEmbeddings } from '../../fixtures/quantize-embeddings.ts';
import { tinyAvailable, tinyFile, tinyMissing } from '../../fixtures/tiny-folders.ts';
import { glimpse, pseudoRandom, singleFile } from './optimize-graphs.ts';
import { toyDecoder, toyEmbed } from './toy-graphs.ts';

/** Three blocks a row: the zero points of each begin with a byte of its own. */
const oddBlocks = quantizedGather(pseudoRandom(50 * 96, 5), 50, 96, true);

const FILES: [string, Uint8Array][] = [
  ['glimpse, q4', glimpse('embed_tokens_q4')],
  ['glimpse, q4f16', glimpse('embed_tokens_q4f16')],
  ['a toy in float16, with subnormal numbers', toyEmbed('float16')],
  ['4 bits with zero points', quantizeEmbeddings(glimpse('embed_tokens_q4'), true)],
  ['4 bits without zero points', quantizeEmbeddings(glimpse('embed_tokens_q4'), false)],
  ['4 bits, an odd number of blocks', oddBlocks],
];

describe('a table of embeddings', () => {
  test.each(FILES)('gives the same embeddings as the graph: %s', async (_, file) => {
    // At an odd offset: a table may start anywhere in its file.
    const moved = new Uint8Array(file.length + 1);
    moved.set(file, 1);
    const table = embeddingTable(singleFile(moved.subarray(1)));
    if (!table) throw new Error('no table');
    const ids = Int32Array.of(0, table.rows - 1, 7, 7);
    const session = await ort.InferenceSession.create(file);
    const input_ids = new ort.Tensor('int64', BigInt64Array.from(ids, BigInt), [1, ids.length]);
    const { inputs_embeds: expected } = await session.run({ input_ids });
    const { dims, data } = await embedByTable(ort, table)(ids);
    expect({ dims, data }).toEqual({ dims: expected?.dims, data: expected?.data });
    await session.release();
  });

  test.skipIf(tinyAvailable)(tinyMissing, () => {});

  test.skipIf(!tinyAvailable)('is found in external data, in 4 bits, as Qwen3.5 has it', async () => {
    const path = tinyFile('qwen3.5-tiny', 'onnx/embed_tokens_q4.onnx');
    const [graph, data] = [path, `${path}_data`].map((file) => readFileSync(file));
    const table = embeddingTable({ graph: graph!, externalData: [{ path: 'embed_tokens_q4.onnx_data', data: data! }] });
    const ids = Int32Array.of(0, 831, 400);
    const session = await ort.InferenceSession.create(path);
    const input_ids = new ort.Tensor('int64', BigInt64Array.from(ids, BigInt), [1, ids.length]);
    const { inputs_embeds: expected } = await session.run({ input_ids });
    expect((await embedByTable(ort, table!)(ids)).data).toEqual(expected?.data);
    await session.release();
  });

  test.each([
    ['float32', toyEmbed('float32'), true],
    ['float16', toyEmbed('float16'), false],
    ['4 bits', oddBlocks, true],
    ['4 bits with scales in float16', quantizedGather(pseudoRandom(50 * 96, 5), 50, 96, true, 'float16'), false],
  ])('in %s is for every GPU with shader-f16; for others: %s', (_, bytes, onAnother) => {
    const file = singleFile(bytes);
    const device = (...features: string[]) => ({ features: new Set(features) }) as unknown as GPUDevice;
    const [gpu, other] = [device('shader-f16'), device()];
    expect(embeddingDevice(gpu, file)).toBe(gpu);
    expect(embeddingDevice(other, file)).toBe(onAnother ? other : undefined);
    expect(embeddingDevice(undefined, file)).toBeUndefined();
  });

  test('is not found in a graph that does more, or something else', () => {
    expect(embeddingTable(singleFile(toyDecoder()))).toBeUndefined();

    const scaled = decode(singleFile(toyEmbed('float32')));
    const [gather] = scaled.nodes;
    gather!.outputs = ['rows'];
    scaled.nodes.push(makeNode('Add', ['rows', 'rows'], ['inputs_embeds']));
    expect(embeddingTable(singleFile(encode(scaled)))).toBeUndefined();

    const across = decode(singleFile(toyEmbed('float32')));
    setInt(across.nodes[0]!, 'axis', 1);
    expect(embeddingTable(singleFile(encode(across)))).toBeUndefined();

    const narrowed = decode(singleFile(toyEmbed('float16')));
    setInt(narrowed.nodes[1]!, 'to', 10);
    expect(embeddingTable(singleFile(encode(narrowed)))).toBeUndefined();

    for (const [name, value] of [
      ['bits', 8],
      ['quantize_axis', 0],
      ['block_size', 16],
    ] as const) {
      const other = decode(singleFile(oddBlocks));
      setInt(other.nodes[0]!, name, value);
      expect(embeddingTable(singleFile(encode(other)))).toBeUndefined();
    }
  });
});
