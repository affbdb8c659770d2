import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Decoder } from '../../../worker/generation/decoder.ts';
import { loadOrt, type Ort } from '../../../worker/onnx/ort.ts';
import { Session } from '../../../worker/onnx/ort-session.ts';
import { asTransformers, PROMPT } from '../generation/toy-decoder.ts';
import { singleFile } from '../onnx/optimize-graphs.ts';
import { toyDecoder, toyEmbed } from '../onnx/toy-graphs.ts';
import { packagedOrt } from './packaged-ort.ts';

const { signal } = new AbortController();
const WIDTH = 32;

let ort: Ort;
let decoder: Decoder;
const sessions: Session[] = [];

beforeAll(async () => {
  ort = await loadOrt('wasm', packagedOrt());
  for (const file of [toyDecoder({}), toyEmbed('float32')]) sessions.push(await Session.open(ort, singleFile(file)));
  decoder = await asTransformers(ort, undefined, sessions[0]!, sessions[1]!);
});

afterAll(async () => {
  decoder.close();
  for (const session of sessions) await session.close();
});

test.each([
  ['float16', WIDTH, '32 float16'],
  ['float32', WIDTH / 2, '16 float32'],
] as const)('features of %s, %d wide, are refused: they would be copied as they are', async (type, width, named) => {
  const rows = type === 'float16' ? new Uint16Array(2 * width) : new Float32Array(2 * width);
  const features = new ort.Tensor(type, rows, [1, 2, width]);
  await decoder.reset(PROMPT.length);
  const reading = decoder.prefill(PROMPT, PROMPT[3]!, [features], signal);
  await expect(reading).rejects.toMatchObject({
    code: 'load_failed',
    message: `The vision encoder returns rows of ${named}; the decoder takes rows of 32 float32.`,
  });
});

test('and those like the embeddings are not', async () => {
  const features = new ort.Tensor('float32', new Float32Array(WIDTH * PROMPT.length), [1, PROMPT.length, WIDTH]);
  await decoder.reset(PROMPT.length);
  await decoder.prefill(PROMPT, PROMPT[3]!, [features], signal);
  expect(decoder.length).toBe(PROMPT.length);
});
