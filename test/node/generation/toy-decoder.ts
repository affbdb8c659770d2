import type { Decoder, SamplingRequest } from '../../../worker/generation/decoder.ts';
import { openDecoder } from '../../../worker/engines/onnx/open-decoder.ts';
import type { Gpu } from '../../../worker/webgpu/gpu-device.ts';
import type { Ort } from '../../../worker/onnx/ort.ts';
import { evaluator, Session } from '../../../worker/onnx/ort-session.ts';
import { optimizeDecoder } from '../../../worker/onnx/optimize/optimize-decoder.ts';
import { embeddingDevice, embeddingTable } from '../../../worker/onnx/embedding-table.ts';
import { release, track } from '../../../worker/onnx/tensor.ts';
import type { Processor } from '../../../worker/families/processor.ts';
import { CpuMemory } from '../../../worker/wasm/cpu-memory.ts';
import { GpuMemory } from '../../../worker/webgpu/gpu-memory.ts';
import { singleFile } from '../onnx/optimize-graphs.ts';
import { GREEDY } from '../engines/dawn-engine.ts';
import { useFacade } from '../engines/use-facade.ts';

/** Maximum length of a sequence in tests of the toy model. */
export const POSITIONS = 1024;

/** A prompt in the toy's vocabulary of 24. */
export const PROMPT = Int32Array.from({ length: 11 }, (_, at) => (at * 7 + 3) % 24);

export interface Toy {
  decoder: Decoder;
  close(): Promise<void>;
}

/**
 * Opens a toy model on the GPU: optimized for the pipelined decoder, which captures its steps or not, or as exported for the
 * stepwise decoder, or for the second engine's.
 */
export async function openToy(
  ort: Ort,
  gpu: Gpu,
  files: { decoder: Uint8Array; embed: Uint8Array },
  kind: 'captured' | 'pipelined' | 'stepwise' | 'transformers',
): Promise<Toy> {
  const pipelined = kind === 'captured' || kind === 'pipelined';
  const [decoderFile, embedFile] = [singleFile(files.decoder), singleFile(files.embed)];
  const table = embeddingTable(embedFile);
  if (!table && pipelined) throw new Error('no table');
  const model = pipelined
    ? await optimizeDecoder(decoderFile, { positions: POSITIONS, evaluate: evaluator(ort) })
    : decoderFile;
  const session = await Session.open(ort, model, gpu.device, kind === 'captured');
  const embed = table && pipelined ? table : await Session.open(ort, embedFile, embeddingDevice(gpu.device, embedFile));
  const decoder =
    kind === 'transformers' && embed instanceof Session
      ? await asTransformers(ort, gpu, session, embed)
      : await openDecoder(ort, { decoder: session, embed }, POSITIONS, gpu);
  return {
    decoder,
    async close() {
      decoder.close();
      await session.close();
      if (embed instanceof Session) await embed.close();
    },
  };
}

/** The second engine's decoder; on wasm without a GPU. */
export async function asTransformers(
  ort: Ort,
  gpu: Gpu | undefined,
  decoder: Session,
  embed: Session,
): Promise<Decoder> {
  useFacade();
  const chunk = await import('../../../worker/engines/transformers/transformers-chunk.ts');
  const config = Buffer.from(JSON.stringify({ model_type: 'llava', text_config: { model_type: 'llama' } }));
  return chunk.assemble({
    ort,
    device: gpu?.device,
    memory: gpu ? new GpuMemory(ort, gpu.device) : new CpuMemory(ort),
    // It gets no images.
    sessions: { vision: embed, embed, decoder },
    openOnCpu: (graph) => Session.open(ort, singleFile(graph)),
    track,
    release,
    config: chunk.readModelConfig(new Map([['config.json', config]])),
    positions: POSITIONS,
    maxRows: undefined,
    processor: {} as Processor,
  }).decoder;
}

/** The first `count` ids of an answer to the prompt read. Default: 40 tokens, greedy. */
export async function take(
  decoder: Decoder,
  changes: Partial<SamplingRequest> = {},
  count = Infinity,
): Promise<number[]> {
  const ids: number[] = [];
  const request = { sampling: GREEDY, prompt: PROMPT, choice: 0, topLogprobs: undefined, limit: 40, ...changes };
  for await (const { id } of decoder.sample(request, new AbortController().signal)) {
    ids.push(id);
    if (ids.length === count) break;
  }
  return ids;
}
