import { describe, expect, test } from 'vitest';
import { encoderInputs } from '../../../worker/families/idefics3/idefics3-inputs.ts';
import { decode, encode, makeTensor, makeValue } from '../../../worker/onnx/model/graph.ts';
import { prune } from '../../../worker/onnx/model/graph-edit.ts';
import { optimizeDecoder } from '../../../worker/onnx/optimize/optimize-decoder.ts';
import type { GraphFile } from '../../../worker/onnx/model/external-data.ts';
import type { OptimizedGraph } from '../../../worker/onnx/optimize/pass.ts';
import { optimizeVision } from '../../../worker/onnx/optimize/optimize-vision.ts';
import { census, distance, encodeViews, evaluate, glimpse, Native, readAll } from './optimize-graphs.ts';
import { toyDecoder } from './toy-graphs.ts';

const SIZE = 96;
const CHUNKS = [40, 9, 1];

/** What adds to the rows in all layers but the first. */
const LATER = /layers\.[1-9]\d*\..*(o_proj|down_proj|out_proj|fc2)\.(bias|weight_scales)$/;

/** The model with nothing added by any layer but the first: what one layer and the ends should give. */
function muted(model: Uint8Array): Uint8Array {
  const graph = decode(model);
  const later = [...graph.tensors.values()].filter(({ name }) => LATER.test(name));
  expect(later.length).toBeGreaterThan(4);
  for (const { name, type, dims, data } of later) {
    graph.tensors.set(name, makeTensor(name, type, dims, new Uint8Array(data?.length ?? 0)));
  }
  return encode(graph);
}

function layerOf({ graph, layer }: OptimizedGraph, attention: string): GraphFile {
  if (!layer) throw new Error('no layer was found');
  const [all, one] = [graph, layer.graph].map((bytes) => census(decode(bytes).nodes));
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

/** What the final norm gives. */
function normalised({ graph, externalData }: OptimizedGraph): GraphFile {
  const whole = decode(graph);
  const last = whole.nodes.findLast(({ type }) => type === 'LayerNormalization');
  const outputs = last ? ['image_features'] : [];
  const nodes = whole.nodes.flatMap((node) => {
    if (node === last) return { ...node, outputs };
    return node.outputs.includes('image_features') ? [] : node;
  });
  const part = { ...whole, nodes, outputs: [makeValue('image_features')] };
  prune(part);
  return { graph: encode(part), externalData };
}

async function features(model: GraphFile): Promise<Float32Array> {
  const encoder = await Native.open(model);
  const { data } = await encodeViews(encoder, 1, SIZE);
  await encoder.close();
  return data;
}

describe.each([
  ['q4', 1e-5],
  ['q4f16', 2e-3],
] as const)('one layer of glimpse, %s, is the model without what the others add', (dtype, tolerance) => {
  test('the decoder', async () => {
    const model = glimpse(`decoder_model_merged_${dtype}`);
    const operated = await optimizeDecoder(model, { positions: 64, evaluate });
    const layer = layerOf(operated, 'com.microsoft.GroupQueryAttention');
    expect(layer.graph.length).toBeLessThan(operated.graph.length);
    expect(distance(await logits(muted(model)), await logits(layer))).toBeLessThan(tolerance);
    expect(distance(await logits(model), await logits(layer))).toBeGreaterThan(0.1);
  });

  test.each([
    [true, 'com.microsoft.MultiHeadAttention'],
    [false, 'Softmax'],
  ])('the vision encoder, attention in one operator: %s', async (attention, operator) => {
    const model = glimpse(`vision_encoder_${dtype}`);
    const options = { inputs: encoderInputs(SIZE, 0), evaluate, attention };
    const operated = await optimizeVision(model, options);
    const layer = layerOf(operated, operator);
    const mute = await optimizeVision(muted(model), options);
    // All 36 patches of so small a view.
    expect(distance(await features(normalised(mute)), await features(layer))).toBeLessThan(tolerance);
    expect(distance(await features(normalised(operated)), await features(layer))).toBeGreaterThan(0.1);
  });
});

test('where nothing is normalised, no layer can be told', async () => {
  expect((await optimizeDecoder(toyDecoder(), { positions: 64, evaluate })).layer).toBeUndefined();
  expect((await optimizeDecoder(glimpse('embed_tokens_q4'), { positions: 64, evaluate })).layer).toBeUndefined();
});
