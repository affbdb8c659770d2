import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Decoder } from '../../../worker/generation/decoder.ts';
import { InPlaceDecoder } from '../../../worker/generation/in-place-decoder.ts';
import { StepwiseDecoder } from '../../../worker/generation/stepwise-decoder.ts';
import { embedByGraph } from '../../../worker/onnx/embed-tokens.ts';
import { Session } from '../../../worker/onnx/ort-session.ts';
import { loadOrt } from '../../../worker/onnx/ort.ts';
import { CpuMemory } from '../../../worker/wasm/cpu-memory.ts';
import { tinyAvailable, tinyCases, tinyFile, tinyMissing } from '../../fixtures/tiny-folders.ts';
import { assets, type Engine, GREEDY, openEngine } from './dawn-engine.ts';

const [text] = tinyCases('smolvlm2-tiny').filter(({ name }) => name === 'text');
const file = (name: string): Uint8Array => readFileSync(tinyFile('smolvlm2-tiny', `onnx/${name}_q4.onnx`));

/** Reads the prompt up to each of these first, as a follow-up question is read behind what is kept of the conversation. */
const CUTS = [[[]], [[10]], [[8, 20]]];

async function answer(decoder: Decoder, cuts: readonly number[]): Promise<number[]> {
  const { promptIds: ids, tokens: expected } = text!;
  const { signal } = new AbortController();
  decoder.clear();
  await decoder.reset(ids.length + expected.length);
  let start = 0;
  for (const end of [...cuts, ids.length]) {
    await decoder.prefill(Int32Array.from(ids.slice(start, end)), -1, [], signal);
    start = end;
  }
  const request = { sampling: GREEDY, prompt: Int32Array.from(ids), choice: 0, topLogprobs: undefined };
  const tokens: number[] = [];
  for await (const { id } of decoder.sample({ ...request, limit: expected.length }, signal)) tokens.push(id);
  return tokens;
}

test.skipIf(tinyAvailable)(tinyMissing, () => {});

/** Its decoder has MultiHeadAttention, as SmolVLM2's on the hub may have. */
describe.skipIf(!tinyAvailable)('SmolVLM2 on wasm', () => {
  let engine: Engine;

  beforeAll(async () => {
    engine = await openEngine('wasm', file, 512);
  }, 120_000);

  afterAll(() => engine?.close());

  test.each(CUTS)('gives the tokens of the Python reference in place, the prompt read up to %j first', async (cuts) => {
    expect(engine.decoder).toBeInstanceOf(InPlaceDecoder);
    expect(await answer(engine.decoder, cuts)).toEqual(text?.tokens);
  });
});

describe.skipIf(!tinyAvailable)('the same graph as it is, where no pass recognises it', () => {
  let decoder: StepwiseDecoder;
  let sessions: Session[] = [];

  beforeAll(async () => {
    const ort = await loadOrt('wasm', assets.ort);
    const open = (name: string): Promise<Session> => Session.open(ort, { graph: file(name), externalData: [] });
    const [embed, session] = [await open('embed_tokens'), await open('decoder_model_merged')];
    sessions = [embed, session];
    decoder = new StepwiseDecoder({
      ort,
      embed: embedByGraph(ort, embed),
      session,
      memory: new CpuMemory(ort),
      positions: 512,
    });
  }, 120_000);

  afterAll(async () => {
    decoder?.close();
    for (const session of sessions) await session.close();
  });

  test.each(CUTS)('reads rows behind others one by one, after %j', async (cuts) => {
    expect(await answer(decoder, cuts)).toEqual(text?.tokens);
  });
});
