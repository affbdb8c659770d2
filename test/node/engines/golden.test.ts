import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Device } from '../../../src/protocol/model-spec.ts';
import type { PromptImage } from '../../../worker/vision/vision-inputs.ts';
import { sampleOnCpu } from '../../../worker/generation/sample-on-cpu.ts';
import { digitIds, ToyConstraint } from '../sampling/toy-constraint.ts';
import { glimpseTokenizer } from '../families/glimpse-tokenizer.ts';
import { imageOfValues } from './test-images.ts';
import { type Engine, GREEDY, openEngine } from './dawn-engine.ts';

interface Golden {
  cases: { name: string; input_ids: number[]; answer: { ids: number[] }; first_logits: { q4: [number, number][] } }[];
  pixels: { case: string; file: string; shape: [crops: number, height: number, width: number, 3] }[];
}

const folder = new URL('../../fixtures/glimpse/', import.meta.url);
const golden: Golden = JSON.parse(readFileSync(new URL('golden.json', folder), 'utf8'));
const IMAGE = 1278;
/** The golden values are rounded to four places; kernels differ by less than that again. */
const TOLERANCE = 2e-4;

/** Cases whose pixels are there after preprocessing (the rest are asked in browsers), and those without any. */
const cases = golden.cases.flatMap((each) => {
  const pixels = golden.pixels.find((entry) => entry.case === each.name);
  const tokens = each.input_ids.filter((id) => id === IMAGE).length;
  return pixels || tokens === 0 ? [{ ...each, images: pixels ? [image(pixels, tokens)] : [] }] : [];
});

/** What the processor gives, from levels written by the Python reference: level / 255, less 0.5, over 0.5. */
function image({ file, shape: [crops, height, size] }: Golden['pixels'][number], tokens: number): PromptImage {
  const levels = gunzipSync(readFileSync(new URL(file, folder)));
  const values = new Float32Array(levels.length);
  const plane = height * size;
  for (let at = 0; at < levels.length; at++) {
    const [crop, pixel, channel] = [Math.floor(at / (plane * 3)), Math.floor(at / 3) % plane, at % 3];
    values[(crop * 3 + channel) * plane + pixel] = ((levels[at] ?? 0) / 255 - 0.5) / 0.5;
  }
  return imageOfValues({ key: file, crops, tokens }, size, values);
}

/** Dawn on lavapipe compiles these shaders for three minutes, once; in the short run browsers stand for WebGPU. */
const read = (name: string): Uint8Array =>
  readFileSync(new URL(`../../../models/glimpse/onnx/${name}_q4.onnx`, import.meta.url));

describe.each<Device>(['wasm', 'webgpu'])('glimpse on %s', { timeout: 900_000 }, (device) => {
  let engine: Engine;

  beforeAll(async () => {
    engine = await openEngine(device, read);
  }, 900_000);

  afterAll(() => engine.close());

  const options = { tags: device === 'webgpu' ? ['long'] : [] };

  test.each(cases)(
    '$name: the ten largest logits and the greedy answer of the Python reference',
    options,
    async (each) => {
      const { decoder, vision } = engine;
      const { signal } = new AbortController();
      const ids = Int32Array.from(each.input_ids);
      await decoder.reset(ids.length + each.answer.ids.length);
      await decoder.prefill(ids, IMAGE, await vision.encode(each.images, signal), signal);
      const logits = await decoder.logits();
      for (const [id, value] of each.first_logits.q4)
        expect(Math.abs((logits[id] ?? NaN) - value)).toBeLessThan(TOLERANCE);
      const request = {
        sampling: GREEDY,
        prompt: ids,
        choice: 0,
        topLogprobs: undefined,
        limit: each.answer.ids.length,
      };
      const answer: number[] = [];
      for await (const { id } of decoder.sample(request, signal)) answer.push(id);
      expect(answer).toEqual(each.answer.ids);
    },
  );

  test.each([
    ['greedy', GREEDY],
    ['sampled', { ...GREEDY, temperature: 1, topP: 0.9, topK: 40, minP: 0.01, repetitionPenalty: 1.2 }],
  ])('constrained to digits, gives the digits that the CPU samples on wasm: %s', options, async (_, sampling) => {
    const vocab = 1280;
    const digits = digitIds(glimpseTokenizer(), vocab);
    const { signal } = new AbortController();
    const reference = await openEngine('wasm', read);
    for (const each of cases.slice(0, 3)) {
      const prompt = Int32Array.from(each.input_ids);
      const answers: number[][] = [];
      for (const { decoder, vision } of [engine, reference]) {
        const constraint = new ToyConstraint(vocab, () => digits);
        const request = { sampling, prompt, choice: 0, topLogprobs: undefined, limit: 8, constraint };
        await decoder.reset(prompt.length + 8);
        await decoder.prefill(prompt, IMAGE, await vision.encode(each.images, signal), signal);
        const source =
          decoder === engine.decoder ? decoder.sample(request, signal) : sampleOnCpu(decoder, request, signal);
        const answer: number[] = [];
        for await (const { id } of source) answer.push(id);
        expect(constraint.accepted).toEqual(answer);
        answers.push(answer);
      }
      expect(answers[0]).toEqual(answers[1]);
      expect(answers[0]).toHaveLength(8);
      expect(answers[0]?.every((id) => digits.includes(id))).toBe(true);
    }
    await reference.close();
  });
});
