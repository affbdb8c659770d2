import { NearsightError } from '../../../src/protocol/errors.ts';
import type { LogitsRow } from '../../backend/token-sampler.ts';
import type { Decoder } from '../../generation/decoder.ts';
import { PipelinedDecoder } from '../../generation/pipelined-decoder.ts';
import { InPlaceDecoder } from '../../generation/in-place-decoder.ts';
import { MAX_CHUNK_ROWS } from '../../generation/prompt-chunks.ts';
import { StepwiseDecoder } from '../../generation/stepwise-decoder.ts';
import { type Embed, embedByGraph, embedByTable } from '../../onnx/embed-tokens.ts';
import type { EmbeddingTable } from '../../onnx/embedding-table.ts';
import { INPUTS_EMBEDS, LOGITS, OPTIMIZED_INPUTS, PAST, SEQLENS_K, TOTAL_LENGTH } from '../../onnx/decoder-ports.ts';
import { kvLayout } from '../../onnx/kv-layout.ts';
import { ortModule } from '../../onnx/ort-module.ts';
import { Session } from '../../onnx/ort-session.ts';
import type { Ort } from '../../onnx/ort.ts';
import { WasmHeap } from '../../wasm/wasm-heap.ts';
import { WasmKvCache } from '../../wasm/wasm-kv-cache.ts';
import { CpuMemory } from '../../wasm/cpu-memory.ts';
import { readbackLatency } from '../../webgpu/buffer-readback.ts';
import type { Gpu } from '../../webgpu/gpu-device.ts';
import { GpuEmbedder } from '../../webgpu/gpu-embedder.ts';
import { GpuMemory } from '../../webgpu/gpu-memory.ts';
import { GpuSampler } from '../../webgpu/gpu-sampler.ts';
import { GpuTokenReadback } from '../../webgpu/gpu-token-readback.ts';
import { estimateMemoryBudget } from './dequantized-decoder.ts';

/** A model's graphs, ready to run. */
export interface Graphs {
  vision: Session;
  decoder: Session;
  /** The graph, or the table if looking rows up is all that it does: it is not opened then. */
  embed: Session | EmbeddingTable;
  /** On wasm, whether the decoder's weights were dequantized, and why not; on a GPU, why its steps are not captured. */
  remark?: string | undefined;
}

/**
 * The decoder that suits the graphs and the device.
 *
 * @param positions how many positions a sequence may have
 */
export async function openDecoder(
  ort: Ort,
  { decoder: session, embed }: Pick<Graphs, 'decoder' | 'embed'>,
  positions: number,
  gpu?: Gpu,
): Promise<Decoder> {
  const isGraph = embed instanceof Session;
  if (isGraph) checkTypes(embed, INPUTS_EMBEDS, session);
  if (!gpu || isGraph) {
    const embedTokens = isGraph ? embedByGraph(ort, embed) : embedByTable(ort, embed, estimateMemoryBudget().bytes);
    const inPlace = gpu ? undefined : openInPlace(ort, session, embedTokens, positions);
    if (inPlace) return inPlace;
    const memory = gpu ? new GpuMemory(ort, gpu.device) : new CpuMemory(ort);
    const maxRows = gpu?.workarounds.maxRows;
    return new StepwiseDecoder({ ort, embed: embedTokens, session, memory, positions, maxRows });
  }
  const { device, workarounds } = gpu;
  const { maxRows = MAX_CHUNK_ROWS } = workarounds;
  const logits = logitsRow(session);
  if (!logits) throw new NearsightError('internal', 'The decoder cannot use the embedding table loaded for it.');
  const sampler = new GpuSampler(device, logits.vocab, logits.type);
  const latency = await readbackLatency(device);
  const memory = new GpuMemory(ort, device);
  const embedder = new GpuEmbedder(device, embed, maxRows, sampler.sampled);
  await embedder.upload(embed);
  const readback = new GpuTokenReadback(device, sampler.ring.size);
  const parts = { session, logits, memory, sampler, embedder, readback };
  return new PipelinedDecoder({ ort, device, ...parts, positions, maxRows, latency });
}

/** A decoder on the CPU whose tensors stay in onnxruntime's heap; undefined if the graph or the module does not allow it. */
function openInPlace(ort: Ort, session: Session, embed: Embed, positions: number): Decoder | undefined {
  const module = ortModule(ort);
  const logits = logitsRow(session);
  if (!module || logits?.type !== 'float32') return undefined;
  const layout = kvLayout(session);
  if (layout.type !== 'float32') return undefined;
  const heap = new WasmHeap(module);
  return new InPlaceDecoder({ session, heap, kv: new WasmKvCache(heap, layout, positions), embed, logits });
}

/** Whether a table can be looked up on the GPU, by a decoder that {@link PipelinedDecoder} can run. */
export function canLookUpOnGpu({ limits }: GPUDevice, decoder: Session, table: EmbeddingTable): boolean {
  return GpuEmbedder.fits(table, limits) && logitsRow(decoder) !== undefined;
}

/**
 * Checks that the decoder takes what another graph computes: it is copied into the decoder's input without conversion.
 *
 * @throws NearsightError `load_failed`
 */
export function checkTypes(graph: Session, output: 'image_features' | typeof INPUTS_EMBEDS, decoder: Session): void {
  const computed = graph.outputs.get(output)?.type;
  const taken = decoder.inputs.get(INPUTS_EMBEDS)?.type;
  if (computed && computed === taken) return;
  const message = `A graph gives ${computed ?? 'no'} ${output}, and the decoder takes ${taken ?? 'no'} ${INPUTS_EMBEDS}.`;
  throw new NearsightError('load_failed', message);
}

/** The logits of a decoder that {@link PipelinedDecoder} or {@link InPlaceDecoder} can run; undefined for others. */
function logitsRow({ inputs, outputs }: Session): LogitsRow | undefined {
  const { type, shape: [, rows, vocab] = [] } = outputs.get(LOGITS) ?? {};
  const known = [...inputs.keys()].every((name) => OPTIMIZED_INPUTS.includes(name) || name.startsWith(PAST));
  if (!known || !inputs.has(SEQLENS_K) || !inputs.has(TOTAL_LENGTH)) return undefined;
  if (inputs.get(INPUTS_EMBEDS)?.type !== 'float32' || rows !== 1 || typeof vocab !== 'number') return undefined;
  return type === 'float32' || type === 'float16' ? { vocab, type } : undefined;
}
