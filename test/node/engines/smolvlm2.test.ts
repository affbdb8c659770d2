import { existsSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Engine, GREEDY, openEngine } from './dawn-engine.ts';

const shared = process.env['NEARSIGHT_SHARED'];
const tiny = shared
  ? new URL(`file://${shared}/models/tiny/`)
  : new URL('../../../../shared/models/tiny/', import.meta.url);
const folder = new URL('smolvlm2-tiny/', tiny);
const here = existsSync(folder);

test.skipIf(here)('the tiny SmolVLM2 is not here: set NEARSIGHT_SHARED to the folder that has it', () => {});

/** Its decoder has MultiHeadAttention, as SmolVLM2's on the hub may have. */
describe.skipIf(!here)('SmolVLM2 on wasm', () => {
  const golden = (here ? JSON.parse(readFileSync(new URL('golden.json', folder), 'utf8')) : {}) as {
    cases: { text: { input_ids: number[]; python_same_inputs: { tokens: number[] } } };
  };
  let engine: Engine;

  beforeAll(async () => {
    engine = await openEngine('wasm', (name) => readFileSync(new URL(`onnx/${name}_q4.onnx`, folder)), 512);
  }, 120_000);

  afterAll(() => engine.close());

  test.each([[[]], [[10]], [[8, 20]]])(
    'gives the tokens of the Python reference, the prompt read up to %j first',
    async (cuts) => {
      const { input_ids: ids, python_same_inputs: expected } = golden.cases.text;
      const { decoder } = engine;
      const { signal } = new AbortController();
      decoder.clear();
      await decoder.reset(ids.length + 16);
      let start = 0;
      // As a follow-up question is read: behind what is kept of the conversation.
      for (const end of [...cuts, ids.length]) {
        await decoder.prefill(Int32Array.from(ids.slice(start, end)), -1, [], signal);
        start = end;
      }
      const sampling = { sampling: GREEDY, prompt: Int32Array.from(ids), choice: 0, topLogprobs: undefined };
      const tokens: number[] = [];
      for await (const { id } of decoder.sample({ ...sampling, limit: expected.tokens.length }, signal))
        tokens.push(id);
      expect(tokens).toEqual(expected.tokens);
    },
  );
});
