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

  /** The decoder with a fault: one logit of a single-token step comes out as `wrong` makes it. */
  function faulty(wrong: (logit: number) => number): Parameters<typeof proveKernels>[0] {
    const { decoder } = engine;
    let stepped = false;
    return {
      precision: decoder.precision,
      reset: (positions) => decoder.reset(positions),
      prefill: (...prompt) => decoder.prefill(...prompt),
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
    await expect(proveKernels(faulty(wrong), VOCAB, signal)).rejects.toMatchObject({ code: 'unsupported_device' });
  });
});
