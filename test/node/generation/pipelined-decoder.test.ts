// size: one model is opened for all of it.
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import type { KvSnapshot } from '../../../worker/backend/kv-cache.ts';
import type { Decoder, SamplingRequest } from '../../../worker/generation/decoder.ts';
import { PipelinedDecoder } from '../../../worker/generation/pipelined-decoder.ts';
import { sampleOnCpu } from '../../../worker/generation/sample-on-cpu.ts';
import type { SampledToken } from '../../../worker/sampling/cpu-sampler.ts';
import type { TokenConstraint } from '../../../worker/sampling/token-constraint.ts';
import type { Gpu } from '../../../worker/webgpu/gpu-device.ts';
import { Readback } from '../../../worker/webgpu/buffer-readback.ts';
import { loadOrt, type Ort } from '../../../worker/onnx/ort.ts';
import { Session } from '../../../worker/onnx/ort-session.ts';
import { idsWhere, maskOf, otherThird, ToyConstraint } from '../sampling/toy-constraint.ts';
import { toyDecoder, toyEmbed } from '../onnx/toy-graphs.ts';
import { nativeDecoder, type NativeDecoder } from '../engines/native.ts';
import { assets, GREEDY, openGpu } from '../engines/dawn-engine.ts';
import { openToy, PROMPT, take, type Toy } from './toy-decoder.ts';

const { signal } = new AbortController();
const STEPS = 40;
/** Of the toy model. */
const VOCAB = 24;

/** Readable buffers that hold parts of a prompt or its answer. */
const HOLD = new Set(['ids', 'inputs_embeds', 'sampler state', 'sampler ring', 'prompt logits', 'step logits']);

let ort: Ort;
let gpu: Gpu;

beforeAll(async () => {
  gpu = await openGpu();
  ort = await loadOrt('webgpu', assets.ort);
});

afterAll(() => gpu.close());

afterEach(() => {
  vi.restoreAllMocks();
});

/** The next step is captured anew. */
function dropBuffers(decoder: Decoder): void {
  if (!(decoder instanceof PipelinedDecoder)) throw new Error('not pipelined');
  decoder.kv.clear();
}

const pipelined =
  (kind: 'captured' | 'pipelined', quirks: Parameters<typeof toyDecoder>[0], type: Parameters<typeof toyEmbed>[0]) =>
  () => {
    const decoderFile = toyDecoder(quirks);
    const embedFile = toyEmbed(type);
    let native: NativeDecoder;
    let toy: Toy;
    let decoder: Decoder;
    /** Its buffers in {@link HOLD}. */
    let readable: GPUBuffer[];

    beforeAll(async () => {
      native = await nativeDecoder(embedFile, decoderFile);
      const made = vi.spyOn(GPUDevice.prototype, 'createBuffer');
      toy = await openToy(ort, gpu, { decoder: decoderFile, embed: embedFile }, kind);
      decoder = toy.decoder;
      const buffers = made.mock.results.map(({ value }) => value as GPUBuffer);
      made.mockRestore();
      readable = buffers.filter(({ label }) => HOLD.has(label));
    }, 120_000);

    afterAll(() => toy.close());

    test('gives the ids of native onnxruntime on the unmodified files', async () => {
      const expected = (await native.answer(PROMPT, STEPS)).map(({ id }) => id);
      expect(new Set(expected).size).toBeGreaterThan(2);
      await decoder.reset(PROMPT.length + STEPS);
      await decoder.prefill(PROMPT, -1, [], signal);
      expect(await take(decoder)).toEqual(expected);
      expect(decoder.length).toBe(PROMPT.length + STEPS - 1);
      // Other answers to the same prompt, with steps of the previous answer still in flight.
      expect(await take(decoder, {}, 3)).toEqual(expected.slice(0, 3));
      expect(decoder.length).toBeLessThanOrEqual(PROMPT.length + 3);
      expect(await take(decoder, {}, 1)).toEqual(expected.slice(0, 1));
      expect(await take(decoder)).toEqual(expected);
    });

    test('creates no buffer during an answer, and reads back 8 bytes a token', async () => {
      const steps = 100;
      await decoder.reset(PROMPT.length + steps);
      await decoder.prefill(PROMPT, -1, [], signal);
      // Compiles the shaders of every shape first.
      await take(decoder, { limit: steps });
      const made = vi.spyOn(GPUDevice.prototype, 'createBuffer');
      const bound = vi.spyOn(GPUDevice.prototype, 'createBindGroup');
      const ran = vi.spyOn(Object(ort.InferenceSession).prototype, 'run');
      const mapped = vi.spyOn(GPUBuffer.prototype, 'mapAsync');
      const ids = await take(decoder, { limit: steps });
      // onnxruntime makes bind groups for each kernel of a step, unless it replays the step.
      if (kind === 'captured') expect(bound).not.toHaveBeenCalled();
      else expect(bound.mock.calls.length).toBeGreaterThan(steps);
      // And its API is not what runs a step that is bound.
      expect(ran).toHaveBeenCalledTimes(kind === 'captured' ? 0 : steps - 1);
      const [sizes, buffers] = [mapped.mock.calls.map(([, , size]) => size ?? NaN), made.mock.calls.length];
      expect(ids).toHaveLength(steps);
      expect(buffers).toBe(0);
      expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(8 * steps);
      expect(sizes.length).toBeLessThanOrEqual(steps);
    });

    test('an abort ends the answer before another step is submitted, and the next answer is right', async () => {
      await decoder.reset(PROMPT.length + STEPS);
      await decoder.prefill(PROMPT, -1, [], signal);
      const expected = await take(decoder);
      const controller = new AbortController();
      const reason = new Error('enough');
      const request = { sampling: GREEDY, prompt: PROMPT, choice: 0, topLogprobs: undefined, limit: STEPS };
      const answer = decoder.sample(request, controller.signal);
      await answer.next();
      controller.abort(reason);
      const submitted = vi.spyOn(GPUQueue.prototype, 'submit');
      await expect(answer.next()).rejects.toBe(reason);
      expect(submitted).not.toHaveBeenCalled();
      expect(await take(decoder)).toEqual(expected);
    });

    test('samples the same tokens as the CPU with all parameters set, with the same log probabilities', async () => {
      const sampling = {
        ...GREEDY,
        temperature: 0.8,
        topK: 12,
        topP: 0.9,
        frequencyPenalty: 0.4,
        repetitionPenalty: 1.2,
      };
      const request = { sampling, prompt: PROMPT, choice: 1, topLogprobs: 3, limit: STEPS };
      await decoder.reset(PROMPT.length + STEPS);
      await decoder.prefill(PROMPT, -1, [], signal);
      const sampled: SampledToken[] = [];
      for await (const token of decoder.sample(request, signal)) sampled.push(token);
      await decoder.reset(PROMPT.length + STEPS);
      await decoder.prefill(PROMPT, -1, [], signal);
      const expected: SampledToken[] = [];
      for await (const token of sampleOnCpu(decoder, request, signal)) expected.push(token);
      expect(sampled.map(({ id }) => id)).toEqual(expected.map(({ id }) => id));
      for (const [at, { logprob, top }] of sampled.entries()) {
        expect(logprob).toBeCloseTo(expected[at]?.logprob ?? NaN, 4);
        expect(top?.map(({ id }) => id)).toEqual(expected[at]?.top?.map(({ id }) => id));
      }
    });

    describe('under a constraint that changes with each token', () => {
      const ALL = { ...GREEDY, temperature: 0.8, topK: 12, topP: 0.9, frequencyPenalty: 0.4, repetitionPenalty: 1.2 };
      const third = (): ToyConstraint => new ToyConstraint(VOCAB, otherThird(VOCAB));

      const FREE = { ...GREEDY, temperature: 0.8, frequencyPenalty: 0.4, presencePenalty: 0.1, repetitionPenalty: 1.2 };

      const onCpu = async (request: Partial<SamplingRequest>): Promise<number[]> => {
        await decoder.reset(PROMPT.length + STEPS);
        await decoder.prefill(PROMPT, -1, [], signal);
        const all = { sampling: GREEDY, prompt: PROMPT, choice: 0, topLogprobs: undefined, limit: STEPS, ...request };
        const ids: number[] = [];
        for await (const { id } of sampleOnCpu(decoder, all, signal)) ids.push(id);
        await decoder.reset(PROMPT.length + STEPS);
        await decoder.prefill(PROMPT, -1, [], signal);
        return ids;
      };

      test.each([
        ['greedy', GREEDY],
        ['sampled with penalties', FREE],
        ['sampled by all rules', ALL],
      ])('samples the same tokens as the CPU: %s', async (__, sampling) => {
        const request = { sampling, choice: 1, topLogprobs: 2 };
        const expected = await onCpu({ ...request, constraint: third() });
        const free = await take(decoder, request);
        const constraint = third();
        const sampled = await take(decoder, { ...request, constraint });
        expect(sampled).toEqual(expected);
        expect(constraint.accepted).toEqual(sampled);
        expect(decoder.length).toBe(PROMPT.length + STEPS - 1);
        expect(await take(decoder, request)).toEqual(free);
        expect(sampled).not.toEqual(free);
      });

      test('needs no masks as long as the model does what the constraint allows', async () => {
        const free = await onCpu({ sampling: FREE });
        const obeyed = new ToyConstraint(VOCAB, ({ length }) => {
          const id = free[length] ?? 0;
          return [id, (id + 1) % VOCAB];
        });
        const written = vi.spyOn(GPUQueue.prototype, 'writeBuffer');
        expect(await take(decoder, { sampling: FREE, constraint: obeyed })).toEqual(free);
        // The first token's mask is known.
        expect(written.mock.calls.filter(([{ label }]) => label === 'sampler mask')).toHaveLength(1);
      });

      test.each([
        ['greedy', GREEDY],
        ['sampled with penalties', FREE],
        ['sampled by all rules', ALL],
      ])('reads a text that is forced without sampling it, as the CPU does: %s', async (__, sampling) => {
        /** Of ten tokens, five are forced: from the sixth on, or fewer where the answer ends. */
        const forcing = (): ToyConstraint => {
          const constraint = third();
          const forced = (): number[] => (constraint.accepted.length % 10 === 5 ? [4, 8, 15, 16, 23] : []);
          return Object.assign(constraint, { forced });
        };
        for (const limit of [STEPS, 18]) {
          const expected = await onCpu({ sampling, limit, constraint: forcing() });
          expect(expected.slice(5, 10)).toEqual([4, 8, 15, 16, 23]);
          const constraint = forcing();
          expect(await take(decoder, { sampling, constraint, limit })).toEqual(expected);
          expect(constraint.accepted).toEqual(expected);
          // Nothing of what was in flight stays among the answer's keys and values.
          const next = async (read: number): Promise<Float32Array> => {
            const ids = Int32Array.of(...PROMPT, ...expected.slice(0, limit - 1), 5);
            await decoder.reset(ids.length, read);
            await decoder.prefill(ids.subarray(read), -1, [], signal);
            return decoder.logits();
          };
          const kept = await next(PROMPT.length + limit - 1);
          const fresh = await next(0);
          for (const [id, logit] of fresh.entries()) expect(kept[id]).toBeCloseTo(logit, 2);
          await decoder.reset(PROMPT.length + STEPS);
          await decoder.prefill(PROMPT, -1, [], signal);
        }
        // With log probabilities every token is sampled.
        const scored = { sampling, topLogprobs: 0 };
        expect(await take(decoder, { ...scored, constraint: forcing() })).toEqual(
          await onCpu({ ...scored, constraint: third() }),
        );
      });

      test('samples the same tokens as the CPU with steps in flight, if the mask depends on the index alone', async () => {
        const other = { ...ALL, temperature: 1.5 };
        const masks = [1, 2, 3].map((seed) =>
          maskOf(
            idsWhere(VOCAB, (id) => (id * 7 + seed) % 3 > 0),
            VOCAB,
          ),
        );
        const early: boolean[] = [];
        const byIndex = (): TokenConstraint => {
          let accepted = 0;
          return {
            byIndex: true,
            mask(index) {
              early.push(accepted < index);
              // And none for every fourth token.
              return masks[index % 4];
            },
            accept: () => void accepted++,
          };
        };
        const request = { sampling: other, prompt: PROMPT, choice: 0, topLogprobs: undefined, limit: STEPS };
        await decoder.reset(PROMPT.length + STEPS);
        await decoder.prefill(PROMPT, -1, [], signal);
        const free = await take(decoder, request);
        const sampled = await take(decoder, { ...request, constraint: byIndex() });
        expect(early.filter(Boolean).length).toBeGreaterThan(STEPS / 4);
        await decoder.reset(PROMPT.length + STEPS);
        await decoder.prefill(PROMPT, -1, [], signal);
        const expected: number[] = [];
        for await (const { id } of sampleOnCpu(decoder, { ...request, constraint: byIndex() }, signal))
          expected.push(id);
        expect(sampled).toEqual(expected);
        expect(sampled).not.toEqual(free);
      });

      test('an unsatisfiable constraint ends the answer with an error, and the next answer is right', async () => {
        await decoder.reset(PROMPT.length + STEPS);
        await decoder.prefill(PROMPT, -1, [], signal);
        const free = await take(decoder);
        const constraint = new ToyConstraint(VOCAB, ({ length }) => (length < 3 ? [7] : []));
        const answer = take(decoder, { constraint });
        await expect(answer).rejects.toMatchObject({ code: 'constraint_unsatisfiable' });
        expect(constraint.accepted).toEqual([7, 7, 7]);
        expect(await take(decoder)).toEqual(free);
      });

      test('where rules depend on other tokens, each token is sampled with a mask; without a constraint, none is', async () => {
        await decoder.reset(PROMPT.length + STEPS);
        await decoder.prefill(PROMPT, -1, [], signal);
        const written = vi.spyOn(GPUQueue.prototype, 'writeBuffer');
        const masks = (): number => written.mock.calls.filter(([{ label }]) => label === 'sampler mask').length;
        await take(decoder, { sampling: ALL });
        expect(masks()).toBe(0);
        const without = written.mock.calls.length;
        written.mockClear();
        await take(decoder, { sampling: ALL, constraint: third() });
        expect(masks()).toBe(STEPS);
        // And one word for the mode.
        expect(written.mock.calls.length).toBe(without + STEPS + 1);
      });
    });

    test('clear() erases prompt and answer from all buffers', async () => {
      await decoder.reset(PROMPT.length + STEPS);
      await decoder.prefill(PROMPT, -1, [], signal);
      await take(decoder, { sampling: { ...GREEDY, logitBias: [[3, 1]] } }, 3);
      const readback = new Readback(gpu.device);
      const filled = async (): Promise<string[]> => {
        const found: string[] = [];
        for (const buffer of readable) {
          const bytes = new Uint8Array(await readback.read(buffer, 0, buffer.size));
          if (bytes.some((byte) => byte !== 0)) found.push(buffer.label);
        }
        return found.sort();
      };
      expect(await filled()).toEqual([...HOLD].sort());
      decoder.clear();
      expect(await filled()).toEqual([]);
      readback.close();
      expect(gpu.fault.aborted).toBe(false);
    });

    test('memory that no step uses takes no capture', async () => {
      const captured = vi.spyOn(Session.prototype, 'captured');
      for (const positions of [300, 500, 700]) {
        decoder.clear();
        await decoder.reset(positions);
        await decoder.prefill(PROMPT, -1, [], signal);
      }
      expect(captured).not.toHaveBeenCalled();
      await decoder.step(1);
      await decoder.step(2);
      expect(captured).toHaveBeenCalledTimes(kind === 'captured' ? 1 : 0);
    });

    if (kind === 'captured') {
      test('a step that failed is captured anew', async () => {
        const captured = vi.spyOn(Session.prototype, 'captured');
        dropBuffers(decoder);
        await decoder.reset(PROMPT.length + STEPS);
        await decoder.prefill(PROMPT, -1, [], signal);
        const failure = new Error('bad_alloc');
        captured.mockReturnValueOnce({ run: async () => Promise.reject(failure), release: async () => {} });
        await expect(decoder.step(1)).rejects.toBe(failure);
        await decoder.step(1);
        await decoder.step(2);
        expect(captured).toHaveBeenCalledTimes(2);
      });
    }

    test('keeps its positions when the cache grows, and when a snapshot is taken and restored', async () => {
      const read = (from: number): Promise<void> => decoder.prefill(PROMPT.subarray(from), -1, [], signal);
      const other = PROMPT.map((id) => (id + 5) % 24);
      decoder.clear();
      await decoder.reset(PROMPT.length + STEPS);
      await read(0);
      const expected = await take(decoder);
      // Larger by more than one block of positions.
      await decoder.reset(600, 5);
      expect(decoder.length).toBe(5);
      await read(5);
      expect(await take(decoder)).toEqual(expected);
      const goesOn = async (from: KvSnapshot, length: number, positions: number): Promise<void> => {
        await decoder.reset(PROMPT.length + STEPS);
        await decoder.prefill(other, -1, [], signal);
        expect(await take(decoder)).not.toEqual(expected);
        await decoder.reset(positions);
        decoder.kv.restore(from, length);
        await read(length);
        expect(await take(decoder)).toEqual(expected);
      };
      const saved = decoder.kv.snapshot();
      await goesOn(saved, 7, 900);
      decoder.kv.rewind(PROMPT.length);
      const based = decoder.kv.snapshot({ snapshot: saved, length: 5 });
      await goesOn(based, 7, PROMPT.length + STEPS);
      await goesOn(based, 3, PROMPT.length + STEPS);
      based.release();
      saved.release();
      decoder.clear();
      expect(decoder.length).toBe(0);
    });
  };

test('after 64 captures, steps are bound but not captured', { tags: ['long'], timeout: 180_000 }, async () => {
  const toy = await openToy(ort, gpu, { decoder: toyDecoder({}), embed: toyEmbed('float16') }, 'captured');
  const { decoder } = toy;
  const answer = async (limit = STEPS): Promise<number[]> => {
    dropBuffers(decoder);
    await decoder.reset(PROMPT.length + STEPS);
    await decoder.prefill(PROMPT, -1, [], signal);
    return take(decoder, { limit });
  };
  const expected = await answer();
  for (let capture = 1; capture < 64; capture++) await answer(2);
  const bound = vi.spyOn(GPUDevice.prototype, 'createBindGroup');
  const ran = vi.spyOn(Object(ort.InferenceSession).prototype, 'run');
  expect(await answer()).toEqual(expected);
  expect(bound.mock.calls.length).toBeGreaterThan(STEPS);
  // Only the prompt.
  expect(ran).toHaveBeenCalledTimes(1);
  await toy.close();
});

// Two generations of exports, and both types of embedding table. `npm test` takes the one that new models have.
const title = 'the pipelined decoder, with a toy model as exported in';
const early = pipelined('captured', { rotary: 'input', allRows: true }, 'float32');
describe(`${title} early 2025`, { timeout: 180_000, tags: ['long'] }, early);
describe(`${title} late 2025`, { timeout: 180_000 }, pipelined('captured', {}, 'float16'));
describe(`${title} late 2025, uncaptured`, { timeout: 180_000, tags: ['long'] }, pipelined('pipelined', {}, 'float16'));
