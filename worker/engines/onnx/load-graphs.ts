import { FileBytes } from '../../../src/bytes/file-bytes.ts';
import { freeMemory } from '../../../src/bytes/free-memory.ts';
import { isNearsightError, NearsightError } from '../../../src/protocol/errors.ts';
import type { Device, GraphName } from '../../../src/protocol/model-spec.ts';
import type { Decoder } from '../../generation/decoder.ts';
import { embeddingDevice, embeddingTable } from '../../onnx/embedding-table.ts';
import type { GraphFile } from '../../onnx/model/external-data.ts';
import type { MemoryBudget } from '../../onnx/optimize/dequantize-weights.ts';
import { optimizeDecoder } from '../../onnx/optimize/optimize-decoder.ts';
import { optimizeVision } from '../../onnx/optimize/optimize-vision.ts';
import type { OptimizedGraph } from '../../onnx/optimize/pass.ts';
import { INPUTS_EMBEDS } from '../../onnx/decoder-ports.ts';
import { ortModule } from '../../onnx/ort-module.ts';
import { evaluator, Session } from '../../onnx/ort-session.ts';
import type { Ort } from '../../onnx/ort.ts';
import { selfTestLayer } from '../../self-test/layer-self-test.ts';
import { selfTestVision } from '../../self-test/vision-self-test.ts';
import type { EncoderInputs } from '../../vision/vision-inputs.ts';
import type { Gpu } from '../../webgpu/gpu-device.ts';
import { openDequantized, type OpenedDecoder } from './dequantized-decoder.ts';
import { canLookUpOnGpu, checkTypes, type Graphs } from './open-decoder.ts';
import { closeSessions } from '../common/close-sessions.ts';
import { readAhead } from '../common/read-ahead.ts';
import { openCaptured } from './captured-decoder.ts';

export interface GraphOptions {
  ort: Ort;
  /** The GPU that they run on, if one does. */
  gpu: Gpu | undefined;
  /** How many positions a sequence may have. */
  positions: number;
  encoderInputs: EncoderInputs;
  /** What most of it is computed in. */
  precision: Decoder['precision'];
  /** Reads a graph, until `signal` aborts. */
  read: (graph: GraphName, signal: AbortSignal) => Promise<GraphFile>;
  /** Called after each of {@link stepsOf}. */
  onStep: () => void;
  signal: AbortSignal;
}

/** The order in which graphs are read: one is tested while the next is being downloaded. */
const ORDER = ['vision', 'decoder', 'embed'] as const;

/** How many steps it takes to open the graphs: each of them, and on a GPU two self-tests. */
export function stepsOf(device: Device): number {
  return ORDER.length + (device === 'webgpu' ? 2 : 0);
}

/**
 * Opens the graphs one after the other, each optimized for how it is run here, while the file of the next is read. A graph
 * that the optimizer does not recognise is opened as it is. On a GPU, vision encoder and decoder are tested once they are
 * open. The caller watches the GPU: after a fault, this may never settle.
 *
 * @throws NearsightError `load_failed`, `unsupported_device` if one of them is computed wrongly, or there is no memory for
 *   its self-test, or what `read` throws; no session stays open then
 */
export async function openGraphs(options: GraphOptions): Promise<Graphs> {
  const { ort, gpu, read, signal } = options;
  const reading = new AbortController();
  const until = AbortSignal.any([signal, reading.signal]);
  const readNext = readAhead(ORDER, (graph) => read(graph, until));
  const next = async (): Promise<GraphFile> => {
    const file = await readNext();
    signal.throwIfAborted();
    return file;
  };
  const opened: Session[] = [];
  const open: Loading['open'] = async (name, file, device, capture) => {
    const session = await Session.open(ort, file, device, capture).catch((cause: unknown) => {
      if (isNearsightError(cause)) throw cause;
      // Beside a GPU, the CPU has fewer kernels than on wasm.
      const code = gpu && !device ? 'unsupported_device' : 'load_failed';
      throw new NearsightError(code, `The ${name} graph could not be opened: ${String(cause)}`, { cause });
    });
    opened.push(session);
    return session;
  };
  const loading = { ...options, open };
  try {
    const vision = await openVision(loading, await next());
    const { session: decoder, remark } = await openTextDecoder(loading, await next());
    checkTypes(vision, 'image_features', decoder);
    return { vision, decoder, embed: await openEmbed(loading, await next(), decoder), remark };
  } catch (error) {
    reading.abort();
    await closeSessions(opened, gpu?.fault);
    throw error;
  }
}

/** Larger graphs are never read at once. */
const MAX_READ_BYTES = 100 << 20;

/**
 * Opens a graph for the CPU, read at once. For a GPU, tensors are read one by one: that takes no memory, but in Chromium a
 * millisecond for each of a thousand.
 */
async function inMemory<T>(file: GraphFile, open: (file: GraphFile) => Promise<T>): Promise<T> {
  const { graph, externalData } = file;
  if (!(graph instanceof FileBytes) || graph.byteLength > MAX_READ_BYTES) return open(file);
  const bytes = graph.subarray();
  try {
    return await open({ graph: bytes, externalData });
  } finally {
    freeMemory(bytes);
  }
}

interface Loading extends GraphOptions {
  /** Opens a graph, which is closed again if a later step fails; without a device on the CPU. */
  open: (name: GraphName, file: GraphFile, device?: GPUDevice, capture?: boolean) => Promise<Session>;
}

/** Counts a step once a session is open. */
async function countStep<T>(opening: Promise<T>, onStep: () => void): Promise<T> {
  const session = await opening;
  onStep();
  return session;
}

async function openVision(loading: Loading, file: GraphFile): Promise<Session> {
  const { ort, gpu, encoderInputs: inputs, precision, open, onStep, signal } = loading;
  // On wasm, onnxruntime itself fuses everything that we would: optimizing saves no time and costs half a second.
  if (!gpu) return inMemory(file, (loaded) => countStep(open('vision', loaded), onStep));
  const attention = !gpu.workarounds.unfusedVisionAttention;
  const model = await optimizeVision(file, { inputs, evaluate: evaluator(ort), attention });
  const session = await countStep(open('vision', model, gpu.device), onStep);
  await selfTestVision({ ort, gpu, session, model, inputs, precision }, signal);
  onStep();
  return session;
}

async function openTextDecoder(loading: Loading, file: GraphFile): Promise<OpenedDecoder> {
  const { ort, gpu, positions, precision, open, onStep, signal } = loading;
  const optimize = async (graph: GraphFile, memoryBudget?: MemoryBudget): Promise<OptimizedGraph> => {
    signal.throwIfAborted();
    const inPlace = !gpu && ortModule(ort) !== undefined;
    return optimizeDecoder(graph, { positions, evaluate: evaluator(ort), memoryBudget, inPlace });
  };
  if (!gpu)
    return inMemory(file, (loaded) => {
      const opened = openDequantized(
        (memoryBudget) => optimize(loaded, memoryBudget),
        (model) => open('decoder', model),
      );
      return countStep(opened, onStep);
    });
  const model = await optimize(file);
  // On the GPU its tensors are buffers of the whole capacity. Wasm can run it.
  if (model.returnsNewCache) {
    const why =
      'its decoder has no GroupQueryAttention, which appends keys and values in place, and was not rewritten to it';
    throw new NearsightError('unsupported_device', why);
  }
  let isOpened = false;
  const openTested = async (capture: boolean): Promise<Session> => {
    const session = await open('decoder', model, gpu.device, capture);
    // Another attempt is not another step.
    if (!isOpened) onStep();
    isOpened = true;
    // The test's input is float32. No decoder that takes float16 is known, so this path could not be verified.
    const { layer, cpuLayer = layer } = model;
    if (!layer || !cpuLayer || session.inputs.get(INPUTS_EMBEDS)?.type !== 'float32') return session;
    try {
      await selfTestLayer({ ort, gpu, layer, cpuLayer, capturing: session.capturing, precision }, signal);
      return session;
    } catch (error) {
      // After a failure of the GPU it may never close.
      if (capture && !gpu.fault.aborted && !signal.aborted) await session.close();
      throw error;
    }
  };
  const decoder = await openCaptured(model, openTested, signal);
  onStep();
  return decoder;
}

async function openEmbed(loading: Loading, file: GraphFile, decoder: Session): Promise<Graphs['embed']> {
  const { gpu, open, onStep } = loading;
  const table = embeddingTable(file);
  if (!table || (gpu && !canLookUpOnGpu(gpu.device, decoder, table)))
    return countStep(open('embed', file, embeddingDevice(gpu?.device, file)), onStep);
  onStep();
  return table;
}

/** The sessions to close. An embedding table has no session: the decoder frees it. */
export function sessionsOf(graphs: Graphs): Session[] {
  return Object.values(graphs).filter((graph) => graph instanceof Session);
}
