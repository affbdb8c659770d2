import { isNearsightError, NearsightError } from '../../../src/protocol/errors.ts';
import type { GraphName } from '../../../src/protocol/model-spec.ts';
import type { Processor } from '../../families/processor.ts';
import type { Decoder } from '../../generation/decoder.ts';
import type { GraphFile } from '../../onnx/model/external-data.ts';
import type { Tensor } from '../../onnx/ort.ts';
import type { Session } from '../../onnx/ort-session.ts';
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
    const parts = assemble({
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
    });
    ({ decoder } = parts);
    await tools.withinMemory(async () => {
      await parts.decoder.reset(1);
      await parts.decoder.calibrate();
    });
    if (gpu) {
      await testVision(parts.vision, processor, { ort, memory }, tools);
      signal.throwIfAborted();
      await tools.selfTestDecoder(decoder, vocab, signal);
    }
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
 * Encodes an image. Only whether the features are finite is known then: in half precision, some encoders overflow.
 *
 * @throws NearsightError `unsupported_device` if they are not, or if it cannot be encoded
 */
async function testVision(
  vision: EncoderSession,
  processor: Processor,
  { ort, memory }: Pick<TransformersKit, 'ort' | 'memory'>,
  { pseudoRandomInput, release, runEncoder }: WorkerTools,
): Promise<void> {
  const encode = async (): Promise<Tensor> => {
    const inputs =
      processor instanceof TransformersProcessor
        ? await processor.example()
        : processor.encoderInputs.example(1, pseudoRandomInput);
    return runEncoder(ort, vision, inputs);
  };
  const features = await encode().catch((cause: unknown) => {
    if (isNearsightError(cause)) throw cause;
    throw new NearsightError('unsupported_device', `an image cannot be encoded: ${String(cause)}`, { cause });
  });
  try {
    const dims = [1, features.size];
    const { gpuBuffer, type } = features;
    const row = ort.Tensor.fromGpuBuffer(gpuBuffer, { dataType: type === 'float16' ? type : 'float32', dims });
    if ((await memory.readRow(row, 0)).every(Number.isFinite)) return;
  } finally {
    release(features);
  }
  throw new NearsightError('unsupported_device', "an image's features are not finite numbers");
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
