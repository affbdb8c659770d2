import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { proveKernels } from '../../../worker/decode/prove.ts';
import { type Engine, openEngine } from './rig.ts';

const { signal } = new AbortController();
const VOCAB = 1280;

describe('two paths through the decoder', () => {
  let engine: Engine;

  beforeAll(async () => {
    const read = (name: string): Uint8Array =>
      readFileSync(new URL(`../../../models/glimpse/onnx/${name}_q4.onnx`, import.meta.url));
    engine = await openEngine('wasm', read);
  }, 60_000);

  afterAll(() => engine.close());

  test('that agree pass', async () => {
    await expect(proveKernels(engine.decoder, VOCAB, signal)).resolves.toBeUndefined();
  });

  /**
   * The decoder with faults: one logit of a single-token step comes out as `wrong` makes it, and one token later in the
   * vocabulary is drawn, if `off`.
   */
  function faulty(wrong: (logit: number) => number, off = false): Parameters<typeof proveKernels>[0] {
    const { decoder } = engine;
    let stepped = false;
    return {
      precision: decoder.precision,
      reset: (positions) => decoder.reset(positions),
      prefill: (...prompt) => decoder.prefill(...prompt),
      async *draw(...drawing) {
        for await (const { id } of decoder.draw(...drawing)) yield { id: off ? id + 1 : id };
      },
      async step(id) {
        await decoder.step(id);
        stepped = true;
      },
      async logits() {
        const logits = (await decoder.logits()).slice();
        if (stepped) logits[5] = wrong(logits[5] ?? 0);
        return logits;
      },
    };
  }

  test.each<[string, (logit: number) => number]>([
    ['a hundredth apart', (logit) => logit + 0.01],
    ['apart without end', () => Infinity],
    ['no number', () => NaN],
  ])('that are %s are refused', async (_, wrong) => {
    const proof = proveKernels(faulty(wrong), VOCAB, signal);
    await expect(proof).rejects.toMatchObject({
      code: 'unsupported_device',
      message: expect.stringContaining('logits'),
    });
  });

  test('that draw another token than the likeliest are refused', async () => {
    const proof = proveKernels(
      faulty((logit) => logit, true),
      VOCAB,
      signal,
    );
    await expect(proof).rejects.toMatchObject({
      code: 'unsupported_device',
      message: expect.stringContaining('drawn'),
    });
  });
});
