import { pathToFileURL } from 'node:url';
import * as ort from 'onnxruntime-web/wasm';
import { beforeAll, describe, expect, test } from 'vitest';
import { bytesIn } from '../../../src/bytes/file-bytes.ts';
import { encoderInputs } from '../../../worker/families/idefics3/idefics3-inputs.ts';
import { decode } from '../../../worker/onnx/model/graph.ts';
import { optimizeDecoder } from '../../../worker/onnx/optimize/optimize-decoder.ts';
import { evaluateOn } from '../../../worker/onnx/optimize/evaluate-model.ts';
import type { OptimizedGraph } from '../../../worker/onnx/optimize/pass.ts';
import { optimizeVision } from '../../../worker/onnx/optimize/optimize-vision.ts';
import { evaluate, glimpse, singleFile } from './optimize-graphs.ts';
import { toyDecoder } from './toy-graphs.ts';

function expectSame(actual: OptimizedGraph, expected: OptimizedGraph): void {
  expect(actual.outcomes).toEqual(expected.outcomes);
  expect(Buffer.compare(bytesIn(actual.graph), bytesIn(expected.graph))).toBe(0);
}

describe('the optimizer gives the same graph with onnxruntime-web as with native ORT', () => {
  beforeAll(() => {
    ort.env.wasm.numThreads = 1;
    ort.env.wasm.wasmPaths = pathToFileURL('node_modules/onnxruntime-web/dist/').href;
  });

  const evaluateOnWasm = evaluateOn(ort, 'wasm');

  test.each([
    ['glimpse', glimpse('decoder_model_merged_q4f16')],
    ['a toy of late 2025', toyDecoder()],
  ])('for the decoder of %s', async (_, model) => {
    const expected = await optimizeDecoder(singleFile(model), { positions: 64, evaluate });
    expectSame(await optimizeDecoder(singleFile(model), { positions: 64, evaluate: evaluateOnWasm }), expected);
  });

  test('for the vision encoder of glimpse', async () => {
    const model = glimpse('vision_encoder_q4f16');
    const options = { inputs: encoderInputs(96, 0), attention: true };
    const expected = await optimizeVision(singleFile(model), { ...options, evaluate });
    expectSame(await optimizeVision(singleFile(model), { ...options, evaluate: evaluateOnWasm }), expected);
  });

  test('and onnxruntime-web finds the weights in the original file', async () => {
    const model = glimpse('decoder_model_merged_q4');
    const optimized = await optimizeDecoder(singleFile(model), { positions: 64, evaluate: evaluateOnWasm });
    const externalData = optimized.externalData.map(({ path, data }) => ({ path, data: bytesIn(data) }));
    const session = await ort.InferenceSession.create(bytesIn(optimized.graph), {
      executionProviders: ['wasm'],
      externalData,
    });
    expect(session.inputNames).toEqual(decode(optimized).inputs.map(({ name }) => name));
    await session.release();
  });
});
