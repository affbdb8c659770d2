import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { selfTestDecoder } from '../../../worker/self-test/decoder-self-test.ts';
import { type SampledToken, notFinite } from '../../../worker/sampling/cpu-sampler.ts';
import { type Engine, openEngine } from '../engines/dawn-engine.ts';

const { signal } = new AbortController();
const VOCAB = 1280;

describe('the self-test of a decoder', () => {
  let engine: Engine;

  beforeAll(async () => {
    const read = (name: string): Uint8Array =>
      readFileSync(new URL(`../../../models/glimpse/onnx/${name}_q4.onnx`, import.meta.url));
    engine = await openEngine('wasm', read);
  }, 60_000);

  afterAll(() => engine.close());

  test('passes if all kernels agree', async () => {
    await expect(selfTestDecoder(engine.decoder, VOCAB, signal)).resolves.toBeUndefined();
  });

  /** The decoder with faults: `wrong` changes one logit of a single-token step, `other` changes sampled tokens. */
  function faulty(
    wrong: (logit: number) => number,
    other: (token: SampledToken, greedy: boolean) => SampledToken = (token) => token,
  ): Parameters<typeof selfTestDecoder>[0] {
    const { decoder } = engine;
    let stepped = false;
    return {
      precision: decoder.precision,
      reset: (positions) => decoder.reset(positions),
      prefill: (...prompt) => decoder.prefill(...prompt),
      async *sample(request, ...rest) {
        const greedy = request.sampling.temperature === 0;
        for await (const token of decoder.sample(request, ...rest)) yield other(token, greedy);
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
    ['off by a hundredth', (logit) => logit + 0.01],
    ['infinite', () => Infinity],
    ['not a number', () => NaN],
  ])('fails if a logit is %s', async (_, wrong) => {
    const selfTest = selfTestDecoder(faulty(wrong), VOCAB, signal);
    await expect(selfTest).rejects.toMatchObject({
      code: 'unsupported_device',
      message: expect.stringContaining('logits'),
    });
  });

  test.each([0, 1])('passes if only sampled token %i differs, which may depend on a last digit', async (odd) => {
    let samples = 0;
    const once = (token: SampledToken, greedy: boolean): SampledToken =>
      greedy || samples++ !== odd ? token : { id: token.id + 1 };
    const decoder = faulty((logit) => logit, once);
    await expect(selfTestDecoder(decoder, VOCAB, signal)).resolves.toBeUndefined();
    expect(samples).toBe(6);
  });

  test('fails if a second sampled token differs', async () => {
    let samples = 0;
    const twice = (token: SampledToken, greedy: boolean): SampledToken =>
      greedy || ![1, 4].includes(samples++) ? token : { id: token.id + 1 };
    const selfTest = selfTestDecoder(
      faulty((logit) => logit, twice),
      VOCAB,
      signal,
    );
    await expect(selfTest).rejects.toMatchObject({ message: expect.stringContaining("differ from the CPU's token") });
  });

  test.each<[string, (token: SampledToken, greedy: boolean) => SampledToken, string]>([
    [
      'another token than the most likely',
      ({ id }, greedy) => ({ id: greedy ? id + 1 : id }),
      'the most likely token is',
    ],
    [
      'another token with all parameters',
      (token, greedy) => ({ ...token, id: token.id + (greedy ? 0 : 1) }),
      "differ from the CPU's token",
    ],
    ['the token with another probability', (token) => ({ ...token, logprob: -1e-6 }), "differ from the CPU's token"],
    [
      'after logits that are not finite',
      (token, greedy) => {
        if (greedy) throw notFinite();
        return token;
      },
      'no finite logits',
    ],
    [
      'the token with other top tokens',
      (token) => ({ ...token, top: token.top?.toReversed() }),
      "differ from the CPU's token",
    ],
  ])('fails if the decoder samples %s', async (_, other, message) => {
    const selfTest = selfTestDecoder(
      faulty((logit) => logit, other),
      VOCAB,
      signal,
    );
    await expect(selfTest).rejects.toMatchObject({
      code: 'unsupported_device',
      message: expect.stringContaining(message),
    });
  });
});
