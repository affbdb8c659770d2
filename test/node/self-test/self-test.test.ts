import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { selfTestDecoder } from '../../../worker/self-test/decoder-self-test.ts';
import { type SampledToken, notFinite } from '../../../worker/sampling/cpu-sampler.ts';
import { type Engine, openEngine } from '../engines/dawn-engine.ts';

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
    await expect(selfTestDecoder(engine.decoder, VOCAB, signal)).resolves.toBeUndefined();
  });

  /**
   * The decoder with faults: one logit of a single-token step comes out as `wrong` makes it, and tokens are not what was
   * drawn.
   */
  function faulty(
    wrong: (logit: number) => number,
    other: (drawn: SampledToken, greedy: boolean) => SampledToken = (drawn) => drawn,
  ): Parameters<typeof selfTestDecoder>[0] {
    const { decoder } = engine;
    let stepped = false;
    return {
      precision: decoder.precision,
      reset: (positions) => decoder.reset(positions),
      prefill: (...prompt) => decoder.prefill(...prompt),
      async *sample(drawing, ...rest) {
        const greedy = drawing.sampling.temperature === 0;
        for await (const drawn of decoder.sample(drawing, ...rest)) yield other(drawn, greedy);
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
    const proof = selfTestDecoder(faulty(wrong), VOCAB, signal);
    await expect(proof).rejects.toMatchObject({
      code: 'unsupported_device',
      message: expect.stringContaining('logits'),
    });
  });

  test.each([0, 1])(
    'of which draw %i by the rules comes out otherwise pass: it may hang on a last digit',
    async (odd) => {
      let draws = 0;
      const once = (drawn: SampledToken, greedy: boolean): SampledToken =>
        greedy || draws++ !== odd ? drawn : { id: drawn.id + 1 };
      const decoder = faulty((logit) => logit, once);
      await expect(selfTestDecoder(decoder, VOCAB, signal)).resolves.toBeUndefined();
      expect(draws).toBe(6);
    },
  );

  test('that draw otherwise once more are refused', async () => {
    let draws = 0;
    const twice = (drawn: SampledToken, greedy: boolean): SampledToken =>
      greedy || ![1, 4].includes(draws++) ? drawn : { id: drawn.id + 1 };
    const proof = selfTestDecoder(
      faulty((logit) => logit, twice),
      VOCAB,
      signal,
    );
    await expect(proof).rejects.toMatchObject({ message: expect.stringContaining("by the CPU's rules") });
  });

  test.each<[string, (drawn: SampledToken, greedy: boolean) => SampledToken, string]>([
    ['another token than the likeliest', ({ id }, greedy) => ({ id: greedy ? id + 1 : id }), 'the likeliest token is'],
    ['another by the rules', (drawn, greedy) => ({ ...drawn, id: drawn.id + (greedy ? 0 : 1) }), "by the CPU's rules"],
    ['it with another probability', (drawn) => ({ ...drawn, logprob: -1e-6 }), "by the CPU's rules"],
    [
      'after a step without numbers',
      (drawn, greedy) => {
        if (greedy) throw notFinite();
        return drawn;
      },
      'no finite logits',
    ],
    ['it among others', (drawn) => ({ ...drawn, top: drawn.top?.toReversed() }), "by the CPU's rules"],
  ])('that draw %s are refused', async (_, other, words) => {
    const proof = selfTestDecoder(
      faulty((logit) => logit, other),
      VOCAB,
      signal,
    );
    await expect(proof).rejects.toMatchObject({
      code: 'unsupported_device',
      message: expect.stringContaining(words),
    });
  });
});
