import type { Decoder, SamplingRequest } from '../../../worker/generation/decoder.ts';
import { openDecoder } from '../../../worker/engines/onnx/open-decoder.ts';
import type { Gpu } from '../../../worker/webgpu/gpu-device.ts';
import type { Ort } from '../../../worker/onnx/ort.ts';
import { evaluator, Session } from '../../../worker/onnx/ort-session.ts';
import { optimizeDecoder } from '../../../worker/onnx/optimize/optimize-decoder.ts';
import { embeddingTable } from '../../../worker/onnx/embedding-table.ts';
import { GREEDY } from '../engines/dawn-engine.ts';

/** Most that a sequence has in tests of the toy. */
export const POSITIONS = 1024;

/** A prompt in the toy's vocabulary of 24. */
export const PROMPT = Int32Array.from({ length: 11 }, (_, at) => (at * 7 + 3) % 24);

export interface Toy {
  decoder: Decoder;
  close(): Promise<void>;
}

/** Opens a toy on the GPU: `resident` with the loop there, `plain` as it was exported, step by step. */
export async function openToy(
  ort: Ort,
  gpu: Gpu,
  files: { decoder: Uint8Array; embed: Uint8Array },
  kind: 'resident' | 'plain',
): Promise<Toy> {
  const resident = kind === 'resident';
  const table = embeddingTable(files.embed);
  if (!table) throw new Error('no table');
  const model = resident
    ? await optimizeDecoder(files.decoder, { positions: POSITIONS, evaluate: evaluator(ort) })
    : files.decoder;
  const session = await Session.open(ort, model, gpu.device);
  const embed = resident ? table : await Session.open(ort, files.embed, gpu.device);
  const decoder = await openDecoder(ort, { decoder: session, embed }, POSITIONS, gpu);
  return {
    decoder,
    async close() {
      decoder.close();
      await session.close();
      if (embed instanceof Session) await embed.close();
    },
  };
}

/** The first ids, `count` at most, of an answer to what was read: 40 tokens of a greedy one, unless told otherwise. */
export async function take(
  decoder: Decoder,
  changes: Partial<SamplingRequest> = {},
  count = Infinity,
): Promise<number[]> {
  const ids: number[] = [];
  const drawing = { sampling: GREEDY, prompt: PROMPT, choice: 0, topLogprobs: undefined, limit: 40, ...changes };
  for await (const { id } of decoder.sample(drawing, new AbortController().signal)) {
    ids.push(id);
    if (ids.length === count) break;
  }
  return ids;
}
