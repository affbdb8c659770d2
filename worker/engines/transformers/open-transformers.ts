import { isNearsightError, NearsightError } from '../../../src/protocol/errors.ts';
import type { GraphName } from '../../../src/protocol/model-spec.ts';
import type { Decoder } from '../../generation/decoder.ts';
import type { GraphFile } from '../../onnx/model/external-data.ts';
import type { Session } from '../../onnx/ort-session.ts';
import { rowsOf } from '../../onnx/tensor.ts';
import type { EncoderSession } from '../../vision/vision-encoder.ts';
import type { Gpu } from '../../webgpu/gpu-device.ts';
import { closeSessions } from '../common/close-sessions.ts';
import { readGraph } from '../common/model-reader.ts';
import type { Opening } from '../common/open-engine.ts';
import { readAhead } from '../common/read-ahead.ts';
import type { Engine } from '../engine.ts';
import { assemble } from './assemble.ts';
import type { Prepared, TransformersKit, WorkerTools } from './kit.ts';
import { TransformersProcessor } from './transformers-processor.ts';

/** An example of 96 x 96 pixels has 75,000 where images may have any size. CLIP's have 338,000. */
const MOST_VALUES_ON_WASM = 100_000;

const GRAPHS = ['vision', 'decoder', 'embed'] as const satisfies GraphName[];

/**
 * Opens a variant. The caller watches the GPU: after a fault, this may never settle.
 *
 * @throws NearsightError `unsupported_device` if this device cannot run it, or computes it wrongly; nothing stays open
 */
export async function open(
  { config, processor }: Prepared,
  opening: Opening,
  tools: WorkerTools,
  signal: AbortSignal,
): Promise<Engine> {
  const { ort, gpu, canary } = opening;
  const { ChatEngine, CpuMemory, GpuImageSplitter, GpuMemory, Session, VisionEncoder } = tools;
  const { vocab, maxPositions } = processor.config;
  const opened: Session[] = [];
  const close = (): Promise<void> => closeSessions(opened, gpu?.fault);
  let decoder: Decoder | undefined;
  try {
    const { remark, ...sessions } = await openSessions(opening, tools, opened, signal);
    const facts = opening.facts(maxPositions);
    const memory = gpu ? new GpuMemory(ort, gpu.device) : new CpuMemory(ort);
    const kit: TransformersKit = {
      ort,
      device: gpu?.device,
      memory,
      sessions,
      openOnCpu: (graph) => Session.open(ort, { graph, externalData: [] }),
      track: tools.track,
      release: tools.release,
      config,
      positions: facts.contextLength,
      maxRows: gpu?.workarounds.maxRows,
      processor,
    };
    const parts = assemble(kit);
    ({ decoder } = parts);
    await tools.withinMemory(async () => {
      await parts.decoder.reset(1);
      await parts.decoder.calibrate();
    });
    await testVision(parts.vision, kit, tools);
    signal.throwIfAborted();
    if (gpu) await tools.selfTestDecoder(decoder, vocab, signal);
    if (canary) await tools.selfTestCanary(decoder, canary, vocab, signal);
    decoder.clear();
    facts.reason += `; step by step as in transformers.js, because no faster engine knows this family${remark}`;
    const splitter = gpu && new GpuImageSplitter(gpu.device);
    const vision = new VisionEncoder(ort, parts.vision, processor.encoderInputs, gpu?.device.limits, splitter);
    return new ChatEngine({ processor, decoder, vision, facts, gpu, close });
  } catch (error) {
    decoder?.close();
    await close();
    throw error;
  }
}

interface Sessions extends Record<GraphName, Session> {
  /** What is to be said of the self-test of a layer. */
  remark: string;
}

/** Opens the graphs one after the other, while the file of the next is read. */
async function openSessions(
  opening: Opening,
  tools: WorkerTools,
  opened: Session[],
  signal: AbortSignal,
): Promise<Sessions> {
  const { ort, gpu, choice, read, onStep } = opening;
  const reading = new AbortController();
  const until = AbortSignal.any([signal, reading.signal]);
  const readNext = readAhead(GRAPHS, (graph) => readGraph(choice.variant.graphs[graph], read, until));
  const next = async (): Promise<GraphFile> => {
    const file = await readNext();
    signal.throwIfAborted();
    return file;
  };
  const openGraph = async (name: GraphName, file: GraphFile, device: GPUDevice | undefined): Promise<Session> => {
    const session = await tools.Session.open(ort, file, device).catch((cause: unknown) => {
      if (isNearsightError(cause)) throw cause;
      // Beside a GPU, the CPU has fewer kernels than on wasm.
      const code = gpu && !device ? 'unsupported_device' : 'load_failed';
      throw new NearsightError(code, `The ${name} graph could not be opened: ${String(cause)}`, { cause });
    });
    opened.push(session);
    onStep();
    return session;
  };
  try {
    const vision = await openGraph('vision', await next(), gpu?.device);
    const file = await next();
    const decoder = await openGraph('decoder', file, gpu?.device);
    const skipped = gpu && (await testLayer(file, gpu, opening, tools, signal));
    if (gpu) onStep();
    const table = await next();
    const embed = await openGraph('embed', table, tools.embeddingDevice(gpu?.device, table));
    const remark = skipped === undefined ? '' : `; no layer of the decoder is compared with the CPU's (${skipped})`;
    return { vision, decoder, embed, remark };
  } catch (error) {
    reading.abort();
    throw error;
  }
}

/**
 * Encodes an image. Only how many rows of features there are, and whether they are finite, is known then: in half precision,
 * some encoders overflow. On wasm nothing is computed wrongly, and large images take half a minute: only a small one is encoded.
 *
 * @throws NearsightError `unsupported_device` if they are not finite, or if it cannot be encoded; `load_failed` if they are more or
 *   less than the tokens of the image
 */
async function testVision(
  vision: EncoderSession,
  { ort, memory, device, sessions, processor }: TransformersKit,
  { pseudoRandomInput, release, runEncoder }: WorkerTools,
): Promise<void> {
  const isOurs = !(processor instanceof TransformersProcessor);
  if (isOurs && !device) return;
  const { tensors, tokens } = isOurs
    ? { tensors: processor.encoderInputs.example(1, pseudoRandomInput), tokens: undefined }
    : await processor.example();
  checkRows(sessions.vision.outputs.get('image_features')?.shape.at(-2), tokens);
  const values = Object.values(tensors).reduce((sum, { data }) => sum + data.length, 0);
  if (!device && values > MOST_VALUES_ON_WASM) return;
  const features = await runEncoder(ort, vision, tensors).catch((cause: unknown) => {
    if (isNearsightError(cause)) throw cause;
    throw new NearsightError('unsupported_device', `an image cannot be encoded: ${String(cause)}`, { cause });
  });
  try {
    checkRows(rowsOf(features).rows, tokens);
    const { size, type } = features;
    const dataType = type === 'float16' ? type : 'float32';
    // One that owns its buffer cannot be reshaped.
    const row = device
      ? ort.Tensor.fromGpuBuffer(features.gpuBuffer, { dataType, dims: [1, size] })
      : features.reshape([1, size]);
    if ((await memory.readRow(row, 0)).every(Number.isFinite)) return;
  } finally {
    release(features);
  }
  throw new NearsightError('unsupported_device', "an image's features are not finite numbers");
}

/** @throws NearsightError `load_failed` if these are not as many. A free dimension, or another family's, is not known. */
function checkRows(rows: number | string | undefined, tokens: number | undefined): void {
  if (typeof rows !== 'number' || tokens === undefined || rows === tokens) return;
  const message = `The vision encoder returns ${rows} rows for an image that has ${tokens} tokens in the prompt`;
  throw new NearsightError('load_failed', `${message}. The configs of this model are not those of its graphs.`);
}

/**
 * Compares a layer on GPU and CPU, where one is recognised and runs by itself.
 *
 * @returns why none was compared
 * @throws NearsightError `unsupported_device` if it is computed wrongly
 */
async function testLayer(
  file: GraphFile,
  gpu: Gpu,
  { ort, choice }: Opening,
  tools: WorkerTools,
  signal: AbortSignal,
): Promise<string | undefined> {
  const found = tools.exportedLayer(file);
  if (typeof found === 'string') return found;
  const { layer = file, cpuLayer = layer } = found;
  const precision = choice.variant.f16 ? 'float16' : 'float32';
  try {
    await tools.selfTestLayer({ ort, gpu, layer, cpuLayer, capturing: false, precision }, signal);
    return undefined;
  } catch (error) {
    signal.throwIfAborted();
    if (isNearsightError(error) && error.code !== 'load_failed') throw error;
    // Its inputs have other shapes than usual, such as positions on three axes.
    return String(error);
  }
}
