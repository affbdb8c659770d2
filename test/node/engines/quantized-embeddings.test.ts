import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { Device } from '../../../src/protocol/model-spec.ts';
import { PipelinedDecoder } from '../../../worker/generation/pipelined-decoder.ts';
import { quantizeEmbeddings } from '../../fixtures/quantize-embeddings.ts';
import { GREEDY, openEngine } from './dawn-engine.ts';
import { nativeDecoder } from './native.ts';

const STEPS = 8;
const read = (name: string): Uint8Array =>
  readFileSync(new URL(`../../../models/glimpse/onnx/${name}_q4.onnx`, import.meta.url));

async function answersAsNative(device: Device, withZeroPoints: boolean): Promise<void> {
  const embed = quantizeEmbeddings(read('embed_tokens'), withZeroPoints);
  const native = await nativeDecoder(embed, read('decoder_model_merged'));
  const prompt = Int32Array.from({ length: 40 }, (_, at) => 100 + 29 * at);
  const wanted = await native.answer(prompt, STEPS);
  const engine = await openEngine(device, (name) => (name === 'embed_tokens' ? embed : read(name)));
  const { decoder } = engine;
  const { signal } = new AbortController();
  await decoder.reset(prompt.length + STEPS);
  await decoder.prefill(prompt, -1, [], signal);
  const request = { sampling: GREEDY, prompt, choice: 0, topLogprobs: undefined, limit: STEPS };
  const tokens: number[] = [];
  for await (const { id } of decoder.sample(request, signal)) tokens.push(id);
  expect(tokens).toEqual(wanted.map(({ id }) => id));
  if (device === 'webgpu') {
    expect(decoder).toBeInstanceOf(PipelinedDecoder);
    expect(decoder.replays).toBe(true);
  }
  await engine.close();
}

test.each([true, false])('4-bit embeddings give the tokens of native onnxruntime on wasm; zero points: %s', (zeros) =>
  answersAsNative('wasm', zeros),
);

// With a cold cache, lavapipe compiles glimpse's shaders for minutes.
test('and on Dawn, where steps are pipelined and captured', { tags: ['long'], timeout: 900_000 }, () =>
  answersAsNative('webgpu', true),
);
