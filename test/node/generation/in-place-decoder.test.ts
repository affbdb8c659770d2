import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { KvSnapshot } from '../../../worker/backend/kv-cache.ts';
import type { Decoder } from '../../../worker/generation/decoder.ts';
import { InPlaceDecoder } from '../../../worker/generation/in-place-decoder.ts';
import { openDecoder } from '../../../worker/engines/onnx/open-decoder.ts';
import { embeddingTable } from '../../../worker/onnx/embedding-table.ts';
import { startOrt, evaluator, Session } from '../../../worker/onnx/ort-session.ts';
import { loadOrt, type Ort } from '../../../worker/onnx/ort.ts';
import { ortModule } from '../../../worker/onnx/ort-module.ts';
import { optimizeDecoder } from '../../../worker/onnx/optimize/optimize-decoder.ts';
import { assets } from '../engines/dawn-engine.ts';
import { nativeDecoder, type NativeDecoder } from '../engines/native.ts';
import { singleFile } from '../onnx/optimize-graphs.ts';
import { toyDecoder, toyEmbed } from '../onnx/toy-graphs.ts';
import { POSITIONS, PROMPT, take } from './toy-decoder.ts';

const { signal } = new AbortController();
const STEPS = 40;

const inPlace = (writtenOut: boolean, quirks: Parameters<typeof toyDecoder>[0]) => () => {
  const decoderFile = toyDecoder({ ...quirks, positions: POSITIONS });
  const embedFile = toyEmbed('float32');
  let ort: Ort;
  let native: NativeDecoder;
  let session: Session;
  let decoder: Decoder;

  beforeAll(async () => {
    ort = await loadOrt('wasm', assets.ort);
    await startOrt(ort);
    native = await nativeDecoder(embedFile, decoderFile);
    const options = { positions: POSITIONS, evaluate: evaluator(ort), inPlace: writtenOut };
    const model = await optimizeDecoder(singleFile(decoderFile), options);
    session = await Session.open(ort, model);
    const table = embeddingTable(singleFile(embedFile));
    if (!table) throw new Error('no table');
    decoder = await openDecoder(ort, { decoder: session, embed: table }, POSITIONS);
    expect(decoder).toBeInstanceOf(InPlaceDecoder);
    expect(session.inputs.has('is_prompt')).toBe(writtenOut);
  });

  afterAll(async () => {
    decoder.close();
    await session.close();
  });

  async function read(prompt: Int32Array, ...chunks: number[]): Promise<void> {
    let at = 0;
    for (const rows of [...chunks, prompt.length]) {
      await decoder.prefill(prompt.subarray(at, at + rows), -1, [], signal);
      at = Math.min(at + rows, prompt.length);
      if (at === prompt.length) return;
    }
  }

  test.each([
    ['at once', PROMPT.length, []],
    ['one by one', PROMPT.length, Array.from(PROMPT, () => 1)],
    ['in parts', PROMPT.length, [4, 1, 3]],
    ['of several chunks', 600, []],
    ['of several chunks behind others', 700, [130]],
  ])('gives the logits and ids of native onnxruntime for a prompt %s', async (_, length, chunks) => {
    const prompt = Int32Array.from({ length }, (__, at) => (at * 7 + 3) % 24);
    const expected = await native.answer(prompt, STEPS);
    await decoder.reset(length + STEPS);
    await read(prompt, ...chunks);
    for (const { id, logits } of expected) {
      const actual = await decoder.logits();
      expect(Math.max(...logits.map((value, at) => Math.abs(value - (actual[at] ?? NaN))))).toBeLessThan(1e-5);
      await decoder.step(id);
    }
  });

  test('reads a long text of an answer in chunks, and stops between them', async () => {
    const ids = Int32Array.from({ length: 700 }, (_, at) => (at * 5 + 1) % 24);
    const [expected] = await native.answer(ids, 1);
    await decoder.reset(20);
    await read(ids.subarray(0, 10));
    await decoder.step(ids[10] ?? NaN);
    await decoder.read(ids.subarray(11), signal);
    expect(decoder.length).toBe(ids.length);
    const actual = await decoder.logits();
    const differences = expected?.logits.map((value, at) => Math.abs(value - (actual[at] ?? NaN))) ?? [NaN];
    expect(Math.max(...differences)).toBeLessThan(1e-5);
    const abort = new AbortController();
    const reading = decoder.read(ids, abort.signal);
    abort.abort(new Error('enough'));
    await expect(reading).rejects.toThrow('enough');
    expect(decoder.length).toBeLessThan(2 * ids.length);
  });

  test('answers again, after the cache has grown, and from a snapshot', async () => {
    const expected = (await native.answer(PROMPT, STEPS)).map(({ id }) => id);
    await decoder.reset(PROMPT.length);
    await read(PROMPT);
    expect(await take(decoder)).toEqual(expected);
    expect(await take(decoder, {}, 3)).toEqual(expected.slice(0, 3));
    decoder.kv.rewind(PROMPT.length);
    const saved = decoder.kv.snapshot();
    expect(saved.bytes).toBe(decoder.kv.snapshotBytes());
    const goesOn = async (from: KvSnapshot, length: number): Promise<void> => {
      // Other positions, and more of them than the capacity holds.
      await decoder.reset(900);
      await read(Int32Array.from({ length: 800 }, (_, at) => at % 24));
      await decoder.reset(PROMPT.length + STEPS);
      decoder.kv.restore(from, length);
      await decoder.prefill(PROMPT.subarray(length), -1, [], signal);
      expect(await take(decoder)).toEqual(expected);
    };
    await goesOn(saved, 7);
    decoder.kv.rewind(PROMPT.length);
    const based = decoder.kv.snapshot({ snapshot: saved, length: 5 });
    expect(based.bytes).toBe((saved.bytes / PROMPT.length) * (PROMPT.length - 5));
    await goesOn(based, 7);
    await goesOn(based, 3);
    // A step beyond the capacity.
    const long = await native.answer(PROMPT, 4);
    await decoder.reset(PROMPT.length);
    await read(PROMPT);
    for (const { id } of long) await decoder.step(id);
    decoder.clear();
    expect(decoder.length).toBe(0);
  });

  test('a step runs without the API of onnxruntime, and takes no memory of the heap', async () => {
    await decoder.reset(PROMPT.length + STEPS);
    await read(PROMPT);
    await take(decoder);
    const allocated = vi.spyOn(heapOf(ort), '_malloc');
    const ran = vi.spyOn(Object(ort.InferenceSession).prototype, 'run');
    const ids = await take(decoder);
    const [allocations, runs] = [allocated.mock.calls.length, ran.mock.calls.length];
    vi.restoreAllMocks();
    expect(ids).toHaveLength(STEPS);
    expect({ allocations, runs }).toEqual({ allocations: 0, runs: 0 });
  });
};

function heapOf(ort: Ort): { _malloc: (bytes: number) => number } {
  const module = ortModule(ort);
  if (!module) throw new Error('no module');
  return module;
}

describe('the in-place decoder, with a toy model as exported in late 2025', inPlace(true, {}));
describe('the in-place decoder, as exported in early 2025', inPlace(true, { rotary: 'input', allRows: true }));
describe('the in-place decoder, with attention as exported', inPlace(false, {}));
