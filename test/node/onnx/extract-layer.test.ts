import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { encoderInputs } from '../../../worker/families/idefics3/idefics3-inputs.ts';
import { decode, encode, makeTensor, makeValue } from '../../../worker/onnx/model/graph.ts';
import { prune } from '../../../worker/onnx/model/graph-edit.ts';
import { optimizeDecoder } from '../../../worker/onnx/optimize/optimize-decoder.ts';
import type { GraphFile } from '../../../worker/onnx/model/external-data.ts';
import { exportedLayer } from '../../../worker/onnx/optimize/exported-layer.ts';
import type { OptimizedGraph } from '../../../worker/onnx/optimize/pass.ts';
import { optimizeVision } from '../../../worker/onnx/optimize/optimize-vision.ts';
import { census, distance, encodeCrops, evaluate, glimpse, Native, readAll, singleFile } from './optimize-graphs.ts';
import { toyDecoder } from './toy-graphs.ts';

const SIZE = 96;
const CHUNKS = [40, 9, 1];

/** Weights whose results are added to the rows, in all layers but the first. */
const LATER = /layers\.[1-9]\d*\..*(o_proj|down_proj|out_proj|fc2)\.(bias|weight_scales)$/;

/** The model with zeros in all layers but the first: it must compute the same as the extracted layer. */
function muted(model: Uint8Array): Uint8Array {
  const graph = decode(singleFile(model));
  const later = [...graph.tensors.values()].filter(({ name }) => LATER.test(name));
  expect(later.length).toBeGreaterThan(4);
  for (const { name, type, dims, data } of later) {
    graph.tensors.set(name, makeTensor(name, type, dims, new Uint8Array(data?.byteLength ?? 0)));
  }
  return encode(graph);
}

function layerOf(optimized: OptimizedGraph, attention: string): GraphFile {
  const { layer } = optimized;
  if (!layer) throw new Error('no layer was extracted');
  const [all, one] = [optimized, layer].map((file) => census(decode(file).nodes));
  expect(one?.[attention]).toBe(1);
  expect(Object.keys(one ?? {})).toEqual(expect.arrayContaining(Object.keys(all ?? {})));
  return layer;
}

async function logits(model: Uint8Array | GraphFile): Promise<Float32Array> {
  const decoder = await Native.open(model);
  const rows = await readAll(decoder, CHUNKS);
  await decoder.close();
  return Float32Array.from(rows.flatMap((row) => [...row]));
}

/** The graph up to the final norm. */
function normalised(optimized: OptimizedGraph): GraphFile {
  const whole = decode(optimized);
  const last = whole.nodes.findLast(({ type }) => type === 'LayerNormalization');
  const outputs = last ? ['image_features'] : [];
  const nodes = whole.nodes.flatMap((node) => {
    if (node === last) return { ...node, outputs };
    return node.outputs.includes('image_features') ? [] : node;
  });
  const part = { ...whole, nodes, outputs: [makeValue('image_features')] };
  prune(part);
  return singleFile(encode(part));
}

async function features(model: GraphFile): Promise<Float32Array> {
  const encoder = await Native.open(model);
  const { data } = await encodeCrops(encoder, 1, SIZE);
  await encoder.close();
  return data;
}

describe.each([
  ['q4', 1e-5],
  ['q4f16', 2e-3],
] as const)('one layer of glimpse, %s, equals the model with zeros in all others', (dtype, tolerance) => {
  test('the decoder', async () => {
    const model = glimpse(`decoder_model_merged_${dtype}`);
    const optimized = await optimizeDecoder(singleFile(model), { positions: 64, evaluate });
    const layer = layerOf(optimized, 'com.microsoft.GroupQueryAttention');
    expect(layer.graph.byteLength).toBeLessThan(optimized.graph.byteLength);
    expect(distance(await logits(muted(model)), await logits(layer))).toBeLessThan(tolerance);
    expect(distance(await logits(model), await logits(layer))).toBeGreaterThan(0.1);
  });

  test.each([
    [true, 'com.microsoft.MultiHeadAttention'],
    [false, 'Softmax'],
  ])('the vision encoder, attention in one operator: %s', async (attention, operator) => {
    const model = glimpse(`vision_encoder_${dtype}`);
    const options = { inputs: encoderInputs(SIZE, 0), evaluate, attention };
    const optimized = await optimizeVision(singleFile(model), options);
    const layer = layerOf(optimized, operator);
    const mute = await optimizeVision(singleFile(muted(model)), options);
    // The layer has all 36 patches of this small crop.
    expect(distance(await features(normalised(mute)), await features(layer))).toBeLessThan(tolerance);
    expect(distance(await features(normalised(optimized)), await features(layer))).toBeGreaterThan(0.1);
  });
});

test('graphs without norms have no layer to extract', async () => {
  expect((await optimizeDecoder(singleFile(toyDecoder()), { positions: 64, evaluate })).layer).toBeUndefined();
  expect(
    (await optimizeDecoder(singleFile(glimpse('embed_tokens_q4')), { positions: 64, evaluate })).layer,
  ).toBeUndefined();
});

describe('a decoder that runs as exported', () => {
  const folder = 'test/fixtures/tiny-llava/onnx/';
  const name = 'decoder_model_merged_q4.onnx';
  const data = { path: `${name}_data`, data: readFileSync(`${folder}${name}_data`) };
  const file = { graph: readFileSync(folder + name), externalData: [data] };

  test('gives one layer, also where nodes leave inputs and outputs out', () => {
    const found = exportedLayer(file);
    if (typeof found === 'string') throw new Error(found);
    const { nodes, inputs } = decode(found.layer!);
    expect(census(nodes)['com.microsoft.GroupQueryAttention']).toBe(1);
    const past = inputs.map((input) => input.name).filter((input) => input.startsWith('past'));
    expect(past).toEqual(['past_key_values.0.key', 'past_key_values.0.value']);
  });

  test('or says why not', () => {
    expect(exportedLayer(singleFile(toyDecoder({})))).toBe('its layers are not recognised');
    const graph = decode(file);
    const renamed = (input: string): string => (input === 'position_ids' ? 'past_conv.0' : input);
    const inputs = graph.inputs.map((input) => (input.name === 'position_ids' ? makeValue('past_conv.0') : input));
    const nodes = graph.nodes.map((node) => ({ ...node, inputs: node.inputs.map(renamed) }));
    const other = singleFile(encode({ ...graph, inputs, nodes }));
    expect(exportedLayer(other)).toBe('it has the input past_conv.0');
  });
});
