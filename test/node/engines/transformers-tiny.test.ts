import { existsSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Processor } from '../../../worker/families/processor.ts';
import type { Decoder } from '../../../worker/generation/decoder.ts';
import { loadOrt } from '../../../worker/onnx/ort.ts';
import { Session } from '../../../worker/onnx/ort-session.ts';
import { release, track } from '../../../worker/onnx/tensor.ts';
import { CpuMemory } from '../../../worker/wasm/cpu-memory.ts';
import { tinyAvailable, tinyCases, tinyFile, tinyMissing } from '../../fixtures/tiny-folders.ts';
import { GREEDY } from './dawn-engine.ts';
import { packagedOrt } from './packaged-ort.ts';
import { useFacade } from './use-facade.ts';

const FOLDERS = ['qwen3.5-tiny', 'gemma3-tiny', 'fastvlm-tiny', 'lfm2-vl-tiny', 'smolvlm2-tiny'];
/** Their decoders can go back to checkpoints only. */
const WITH_STATES = ['qwen3.5-tiny', 'lfm2-vl-tiny'];
const { signal } = new AbortController();

useFacade();

test.skipIf(tinyAvailable)(tinyMissing, () => {});

describe.skipIf(!tinyAvailable).each(FOLDERS)('the decoder of %s, by transformers.js', (folder) => {
  const texts = tinyCases(folder).filter(({ features, templateOptions }) => !features && !templateOptions);

  describe.each(['fp32', 'q4'])('in %s', (dtype) => {
    const tags = dtype === 'q4' || folder === FOLDERS[0] ? [] : ['long'];
    let decoder: Decoder;
    const sessions: Session[] = [];

    beforeAll(async () => {
      decoder = await openDecoder(folder, dtype, sessions);
    }, 60_000);

    afterAll(async () => {
      decoder?.close();
      for (const session of sessions) await session.close();
    });

    test.each(texts)('gives the tokens of the Python reference: $name', { tags }, async ({ promptIds, tokens }) => {
      decoder.clear();
      expect(await read(decoder, promptIds, tokens.length)).toEqual(tokens);
    });

    test.each(texts)('and from any part that it can keep: $name', { tags }, async ({ promptIds, tokens }) => {
      decoder.clear();
      await read(decoder, promptIds, tokens.length);
      const kept = new Set<number>();
      for (let length = promptIds.length - 1; length > 0; length -= 3) {
        await decoder.reset(0, decoder.kv.reachable?.(length) ?? length);
        kept.add(decoder.length);
        expect(await read(decoder, promptIds, tokens.length)).toEqual(tokens);
      }
      const isShort = WITH_STATES.includes(folder) && promptIds.length < 80;
      expect(Math.max(...kept) > 0).toBe(!isShort);
    });

    test('has a checkpoint before the opening of an answer where rows are worth a run', { tags }, async () => {
      const reached: unknown[] = [];
      for (const count of [79, 80]) {
        decoder.clear();
        await decoder.prefill(new Int32Array(count).fill(7), -1, [], signal);
        reached.push(decoder.kv.reachable?.(count - 8));
      }
      expect(reached).toEqual(WITH_STATES.includes(folder) ? [0, 64] : [71, 72]);
    });
  });
});

/** Reads what is left of a prompt, and answers. */
async function read(decoder: Decoder, prompt: readonly number[], limit: number): Promise<number[]> {
  const ids = Int32Array.from(prompt);
  await decoder.prefill(ids.subarray(decoder.length), -1, [], signal);
  const request = { sampling: GREEDY, prompt: ids, choice: 0, topLogprobs: undefined, limit };
  const tokens: number[] = [];
  for await (const { id } of decoder.sample(request, signal)) tokens.push(id);
  return tokens;
}

async function openDecoder(folder: string, dtype: string, opened: Session[]): Promise<Decoder> {
  const { assemble, readModelConfig } = await import('../../../worker/engines/transformers/transformers-chunk.ts');
  const ort = await loadOrt('wasm', packagedOrt());
  const open = async (graph: Uint8Array, externalData: { path: string; data: Uint8Array }[] = []): Promise<Session> => {
    const session = await Session.open(ort, { graph, externalData });
    opened.push(session);
    return session;
  };
  const openGraph = async (name: string): Promise<Session> => {
    const suffixed = dtype === 'fp32' ? name : `${name}_${dtype}`;
    // LFM2's embeddings are not in 4 bits, as on the hub.
    const file = `${existsSync(tinyFile(folder, `onnx/${suffixed}.onnx`)) ? suffixed : name}.onnx`;
    const data = existsSync(tinyFile(folder, `onnx/${file}_data`)) ? [`${file}_data`] : [];
    const bytes = (path: string): Uint8Array => readFileSync(tinyFile(folder, `onnx/${path}`));
    return open(
      bytes(file),
      data.map((path) => ({ path, data: bytes(path) })),
    );
  };
  const parts = assemble({
    ort,
    device: undefined,
    memory: new CpuMemory(ort),
    sessions: {
      vision: await openGraph('vision_encoder'),
      embed: await openGraph('embed_tokens'),
      decoder: await openGraph('decoder_model_merged'),
    },
    openOnCpu: open,
    track,
    release,
    config: readModelConfig(new Map([['config.json', readFileSync(tinyFile(folder, 'config.json'))]])),
    positions: 1024,
    maxRows: undefined,
    // The decoder alone is used.
    processor: {} as Processor,
  });
  await parts.decoder.calibrate();
  return parts.decoder;
}
