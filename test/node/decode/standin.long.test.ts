import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Device } from '../../../src/wire/spec.ts';
import { argmax } from '../../../worker/decode/sampler.ts';
import { nativeDecoder, type NativeDecoder } from './native.ts';
import { fillStandin, type Graphs, openGraphs, standinAvailable, standinFile, useDawn } from './rig.ts';

/**
 * Logits of this model lie within 20 of each other, and its weights have 4 bits. The kernels differ in the order of
 * their float32 sums over 30 layers: about 2e-4 at most.
 */
const TOLERANCE = 2e-3;

/** From a few tokens to several chunks. On a software adapter 700 would take many minutes more. */
const PROMPTS = { wasm: [14, 80, 700], webgpu: [14, 40, 80] };
const STEPS = 4;

/** Ids that mean nothing: the weights are random as well. */
function prompt(length: number): Int32Array {
  return Int32Array.from({ length }, (_, at) => (at * 7919 + length) % 49_000);
}

describe.skipIf(!standinAvailable)('the full-size stand-in, against native onnxruntime on the same files', () => {
  let native: NativeDecoder;

  beforeAll(async () => {
    fillStandin('q4');
    native = await nativeDecoder(standinFile('embed_tokens_q4'), standinFile('decoder_model_merged_q4'));
  }, 120_000);

  describe.each<Device>(['wasm', 'webgpu'])('on %s', { timeout: 900_000 }, (device) => {
    let graphs: Graphs;

    beforeAll(async () => {
      if (device === 'webgpu') useDawn();
      graphs = await openGraphs(device, (name) => readFileSync(standinFile(`${name}_q4`)));
    }, 300_000);

    afterAll(() => graphs.close());

    test.each(PROMPTS[device])('logits and greedy ids after %i tokens', async (length) => {
      const ids = prompt(length);
      const wanted = await native.answer(ids, STEPS);
      const { decoder } = graphs;
      decoder.reset(length + STEPS);
      let logits = await decoder.prefill(ids, -1, [], new AbortController().signal);
      for (const step of wanted) {
        console.log(device, length, furthest(logits, step.logits), Math.max(...logits) - Math.min(...logits));
        expect(furthest(logits, step.logits)).toBeLessThan(TOLERANCE);
        expect(argmax(logits)).toBe(step.id);
        logits = await decoder.step(step.id);
      }
    });
  });
});

test.skipIf(standinAvailable)('the stand-in is not here: set NEARSIGHT_SHARED to the folder that makes it', () => {});

function furthest(one: Float32Array, other: Float32Array): number {
  return one.reduce((most, value, at) => Math.max(most, Math.abs(value - (other[at] ?? NaN))), 0);
}
