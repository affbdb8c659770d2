import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { Decoder, Drawing } from '../../../worker/decode/decoder.ts';
import { openDecoder } from '../../../worker/decode/graphs.ts';
import { findAdapter, Gpu } from '../../../worker/gpu/device.ts';
import { loadOrt, type Ort } from '../../../worker/onnx/ort.ts';
import { evaluator, Session } from '../../../worker/onnx/session.ts';
import { operateDecoder } from '../../../worker/onnx/surgery/decoder.ts';
import { embeddingTable } from '../../../worker/onnx/table.ts';
import { toyDecoder, toyEmbed } from '../onnx-surgery-toy.ts';
import { nativeDecoder, type NativeDecoder } from './native.ts';
import { assets, GREEDY, useDawn } from './rig.ts';

const { signal } = new AbortController();
const PROMPT = Int32Array.from({ length: 11 }, (_, at) => (at * 7 + 3) % 24);
const STEPS = 40;

let ort: Ort;
let gpu: Gpu;

beforeAll(async () => {
  useDawn();
  ort = await loadOrt('webgpu', assets.ort);
  const adapter = await findAdapter();
  if (!adapter) throw new Error('Dawn finds no adapter: has `npm test` set up lavapipe?');
  gpu = await Gpu.open(adapter);
});

afterAll(() => gpu.close());

/** Both generations of exports, and both types of table. */
describe.each([
  ['early 2025', { rotary: 'input', allRows: true }, 'float32'],
  ['late 2025', {}, 'float16'],
] as const)('the loop on the GPU, with a toy of %s', { timeout: 180_000 }, (_, quirks, type) => {
  const decoderFile = toyDecoder(quirks);
  const embedFile = toyEmbed(type);
  let native: NativeDecoder;
  let session: Session;
  let decoder: Decoder;

  beforeAll(async () => {
    native = await nativeDecoder(embedFile, decoderFile);
    const operated = await operateDecoder(decoderFile, { positions: 256, evaluate: evaluator(ort) });
    session = await Session.open(ort, operated, gpu.device);
    const table = embeddingTable(embedFile);
    if (!table) throw new Error('no table');
    decoder = await openDecoder(ort, { decoder: session, embed: table }, gpu);
  }, 120_000);

  afterAll(async () => {
    decoder.close();
    await session.close();
  });

  async function take(count: number, changes: Partial<Drawing> = {}): Promise<number[]> {
    const ids: number[] = [];
    const drawing = { sampling: GREEDY, prompt: PROMPT, choice: 0, topLogprobs: undefined, limit: STEPS, ...changes };
    for await (const { id } of decoder.draw(drawing, signal)) {
      ids.push(id);
      if (ids.length === count) break;
    }
    return ids;
  }

  test('gives the ids of native onnxruntime on the unmodified files', async () => {
    const wanted = (await native.answer(PROMPT, STEPS)).map(({ id }) => id);
    expect(new Set(wanted).size).toBeGreaterThan(2);
    decoder.reset(PROMPT.length + STEPS);
    await decoder.prefill(PROMPT, -1, [], signal);
    expect(await take(Infinity)).toEqual(wanted);
    expect(decoder.length).toBe(PROMPT.length + STEPS - 1);
    // Other answers to the same prompt, whatever was submitted ahead of the one before.
    expect(await take(3)).toEqual(wanted.slice(0, 3));
    expect(decoder.length).toBeLessThanOrEqual(PROMPT.length + 3);
    expect(await take(1)).toEqual(wanted.slice(0, 1));
    expect(await take(Infinity)).toEqual(wanted);
  });

  test('makes no buffer while it decodes, and brings back 8 bytes a token', async () => {
    const steps = 200;
    decoder.reset(PROMPT.length + steps);
    await decoder.prefill(PROMPT, -1, [], signal);
    // Every shape of run has been seen once.
    await take(Infinity, { limit: steps });
    const made = vi.spyOn(GPUDevice.prototype, 'createBuffer');
    const mapped = vi.spyOn(GPUBuffer.prototype, 'mapAsync');
    const ids = await take(Infinity, { limit: steps });
    const [sizes, buffers] = [mapped.mock.calls.map(([, , size]) => size ?? NaN), made.mock.calls.length];
    vi.restoreAllMocks();
    expect(ids).toHaveLength(steps);
    expect(buffers).toBe(0);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(8 * steps);
    expect(sizes.length).toBeLessThanOrEqual(steps);
  });

  test('an abort ends it before another step is submitted, and the next answer is right', async () => {
    decoder.reset(PROMPT.length + STEPS);
    await decoder.prefill(PROMPT, -1, [], signal);
    const wanted = await take(Infinity);
    const controller = new AbortController();
    const reason = new Error('enough');
    const drawing = { sampling: GREEDY, prompt: PROMPT, choice: 0, topLogprobs: undefined, limit: STEPS };
    const draws = decoder.draw(drawing, controller.signal);
    await draws.next();
    controller.abort(reason);
    const submitted = vi.spyOn(GPUQueue.prototype, 'submit');
    await expect(draws.next()).rejects.toBe(reason);
    expect(submitted).not.toHaveBeenCalled();
    vi.restoreAllMocks();
    expect(await take(Infinity)).toEqual(wanted);
  });
});

test('a decoder that surgery does not know goes step by step on the GPU as well', { timeout: 180_000 }, async () => {
  const decoderFile = toyDecoder({ rotary: 'input', allRows: true });
  const embedFile = toyEmbed('float32');
  const native = await nativeDecoder(embedFile, decoderFile);
  const wanted = (await native.answer(PROMPT, STEPS)).map(({ id }) => id);
  const graphs = {
    decoder: await Session.open(ort, decoderFile, gpu.device),
    embed: await Session.open(ort, embedFile, gpu.device),
  };
  const decoder = await openDecoder(ort, graphs, gpu);
  decoder.reset(PROMPT.length + STEPS);
  await decoder.prefill(PROMPT, -1, [], signal);
  const drawing = { sampling: GREEDY, prompt: PROMPT, choice: 0, topLogprobs: undefined, limit: STEPS };
  const ids: number[] = [];
  for await (const { id } of decoder.draw(drawing, signal)) ids.push(id);
  expect(ids).toEqual(wanted);
  decoder.close();
  await graphs.decoder.close();
  await graphs.embed.close();
});
