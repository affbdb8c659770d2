import { NearsightError } from '../../../src/protocol/errors.ts';
import type { Device } from '../../../src/protocol/model-spec.ts';
import type { Gpu } from '../../webgpu/gpu-device.ts';
import { GpuTokenReadback } from '../../webgpu/gpu-token-readback.ts';
import { GpuEmbedder } from '../../webgpu/gpu-embedder.ts';
import { GpuSampler } from '../../webgpu/gpu-sampler.ts';
import { GpuMemory } from '../../webgpu/gpu-memory.ts';
import { readbackLatency } from '../../webgpu/buffer-readback.ts';
import type { Ort } from '../../onnx/ort.ts';
import { INPUTS_EMBEDS } from '../../onnx/decoder-ports.ts';
import { evaluator, Session } from '../../onnx/ort-session.ts';
import { optimizeDecoder } from '../../onnx/optimize/optimize-decoder.ts';
import type { OptimizedGraph } from '../../onnx/optimize/pass.ts';
import { optimizeVision } from '../../onnx/optimize/optimize-vision.ts';
import type { MemoryBudget } from '../../onnx/optimize/dequantize-weights.ts';
import { type EmbeddingTable, embeddingTable } from '../../onnx/embedding-table.ts';
import { readAhead } from './read-ahead.ts';
import type { EncoderInputs } from '../../vision/vision-inputs.ts';
import { CpuMemory } from '../../wasm/cpu-memory.ts';
import type { Decoder } from '../../generation/decoder.ts';
import { embedByGraph, embedByTable } from '../../onnx/embed-tokens.ts';
import { logitsRow } from './logits-row.ts';
import { MAX_CHUNK_ROWS, StepwiseDecoder } from '../../generation/stepwise-decoder.ts';
import { selfTestLayer } from '../../self-test/layer-self-test.ts';
import { selfTestVision } from '../../self-test/vision-self-test.ts';
import { PipelinedDecoder } from '../../generation/pipelined-decoder.ts';
import { openDequantized, type OpenedDecoder } from './dequantized-decoder.ts';

/** A model's graphs, ready to run. */
export interface Graphs {
  vision: Session;
  decoder: Session;
  /** The graph, or the table that is all it does: with that it need not be run. */
  embed: Session | EmbeddingTable;
  /** What became of the decoder's weights, on wasm. */
  remark?: string | undefined;
}

export interface GraphOptions {
  ort: Ort;
  /** The GPU that they run on, if one does. */
  gpu: Gpu | undefined;
  /** Most positions that a sequence will have. */
  positions: number;
  encoderInputs: EncoderInputs;
  /** What most of it is computed in. */
  precision: Decoder['precision'];
  /** Gives the file of a graph, until `signal` aborts. */
  read: (graph: GraphName, signal: AbortSignal) => Promise<Uint8Array>;
  /** Called after each of {@link stepsOf}. */
  onStep: () => void;
  signal: AbortSignal;
}

/** In this order: what is opened first is proved while the next is on its way. */
const ORDER = ['vision', 'decoder', 'embed'] as const;

type GraphName = (typeof ORDER)[number];

/** How many steps it takes to open the graphs: each, and on a GPU the proofs of the first two. */
export function stepsOf(device: Device): number {
  return ORDER.length + (device === 'webgpu' ? 2 : 0);
}

/**
 * Opens the graphs one after the other, each fitted to how it is run here, while the file of the next is read. A graph
 * that surgery does not recognise is opened as it is. On a GPU, vision encoder and decoder are proved once they are open.
 * The caller watches the GPU: after a fault, this may never settle.
 *
 * @throws NearsightError `load_failed`, `unsupported_device` if one of them is computed wrongly, or there is no memory to
 *   prove it in, or what `read` throws; no session stays open then
 */
export async function openGraphs(options: GraphOptions): Promise<Graphs> {
  const { ort, gpu, positions, encoderInputs: inputs, precision, onStep, signal } = options;
  const evaluate = evaluator(ort);
  const opened: Session[] = [];
  const open = openerInto(opened, options);
  const reading = new AbortController();
  const ahead = readAhead(ORDER, (graph) => options.read(graph, AbortSignal.any([signal, reading.signal])));
  const read = async (): Promise<Uint8Array> => {
    const file = await ahead();
    signal.throwIfAborted();
    return file;
  };
  const openVision = async (): Promise<Session> => {
    const file = await read();
    // On wasm, onnxruntime fuses by itself all that we would: it is no faster, and surgery takes half a second.
    if (!gpu) return open('vision', file);
    const attention = !gpu.workarounds.unfusedVisionAttention;
    const model = await optimizeVision(file, { inputs, evaluate, attention });
    const session = await open('vision', model);
    await selfTestVision({ ort, gpu, session, model, inputs, precision }, signal);
    onStep();
    return session;
  };
  const openDecoderGraph = async (): Promise<OpenedDecoder> => {
    const file = await read();
    const operate = async (room?: MemoryBudget): Promise<OptimizedGraph> => {
      signal.throwIfAborted();
      return optimizeDecoder(file, { positions, evaluate, memoryBudget: room });
    };
    if (!gpu) return openDequantized(operate, (operated) => open('decoder', operated));
    const operated = await operate();
    const session = await open('decoder', operated);
    const { layer } = operated;
    // Noise as halves would be for decoders that take them: none is known, so none could be tested.
    if (layer && session.inputs.get(INPUTS_EMBEDS)?.type === 'float32') {
      await selfTestLayer({ ort, gpu, model: layer, precision }, signal);
    }
    onStep();
    return { session };
  };
  try {
    const vision = await openVision();
    const { session: decoder, remark } = await openDecoderGraph();
    checkTypes(vision, 'image_features', decoder);
    const embed = await read();
    const table = embeddingTable(embed);
    // On a GPU a table is of use only where the decoder is run in a way that can look it up there.
    if (!table || (gpu && !canReside(gpu.device, decoder, table))) {
      return { vision, decoder, embed: await open('embed', embed), remark };
    }
    onStep();
    return { vision, decoder, embed: table, remark };
  } catch (error) {
    reading.abort();
    await closeSessions(opened, gpu?.fault);
    throw error;
  }
}

/** Opens graphs where they run, and adds them to `opened`. */
function openerInto(opened: Session[], { ort, gpu, onStep }: GraphOptions) {
  return async (graph: GraphName, model: Uint8Array | OptimizedGraph): Promise<Session> => {
    try {
      const session = await Session.open(ort, model, gpu?.device);
      opened.push(session);
      onStep();
      return session;
    } catch (cause) {
      if (cause instanceof NearsightError) throw cause;
      throw new NearsightError('load_failed', `The ${graph} graph could not be opened: ${String(cause)}`, { cause });
    }
  };
}

/** Frees the weights, but not after the GPU has failed: runs may never settle then, and closing waits for them. */
export async function closeSessions(sessions: readonly Session[], fault: AbortSignal | undefined): Promise<void> {
  if (fault?.aborted) return;
  for (const session of sessions) await session.close();
}

/** What must be closed one day. A table is the decoder's, which needs it in memory or does not. */
export function sessionsOf(graphs: Graphs): Session[] {
  return Object.values(graphs).filter((graph) => graph instanceof Session);
}

/**
 * The decoder that suits the graphs and the device.
 *
 * @param positions most that a sequence will have
 */
export async function openDecoder(
  ort: Ort,
  graphs: Omit<Graphs, 'vision'>,
  positions: number,
  gpu?: Gpu,
): Promise<Decoder> {
  const { decoder: session, embed } = graphs;
  if (embed instanceof Session) {
    checkTypes(embed, INPUTS_EMBEDS, session);
    const memory = gpu ? new GpuMemory(ort, gpu.device) : new CpuMemory(ort);
    const maxRows = gpu?.workarounds.maxRows;
    return new StepwiseDecoder({ ort, embed: embedByGraph(ort, embed), session, memory, positions, maxRows });
  }
  if (!gpu) {
    return new StepwiseDecoder({
      ort,
      embed: embedByTable(ort, embed),
      session,
      memory: new CpuMemory(ort),
      positions,
    });
  }
  const { device, workarounds } = gpu;
  const { maxRows = MAX_CHUNK_ROWS } = workarounds;
  const logits = logitsRow(session);
  if (!logits) throw new NearsightError('internal', 'A table was kept for a decoder that cannot use it.');
  const sampler = new GpuSampler(device, logits.vocab, logits.type);
  const latency = await readbackLatency(device);
  const memory = new GpuMemory(ort, device);
  const embedder = new GpuEmbedder(device, embed, maxRows, sampler.sampled);
  const readback = new GpuTokenReadback(device, sampler.ring.size);
  const parts = { session, logits, memory, sampler, embedder, readback };
  return new PipelinedDecoder({ ort, device, ...parts, positions, maxRows, latency });
}

function canReside({ limits }: GPUDevice, decoder: Session, table: EmbeddingTable): boolean {
  return GpuEmbedder.fits(table, limits) && logitsRow(decoder) !== undefined;
}

/** What a graph gives is copied to where the decoder takes its rows from, as it is. */
function checkTypes(giver: Session, output: 'image_features' | typeof INPUTS_EMBEDS, decoder: Session): void {
  const given = giver.outputs.get(output)?.type;
  const taken = decoder.inputs.get(INPUTS_EMBEDS)?.type;
  if (given && given === taken) return;
  const message = `A graph gives ${given ?? 'no'} ${output}, and the decoder takes ${taken ?? 'no'} ${INPUTS_EMBEDS}.`;
  throw new NearsightError('load_failed', message);
}
