import { isNearsightError, NearsightError } from '../../../src/protocol/errors.ts';
import type { GraphName } from '../../../src/protocol/model-spec.ts';
import { openChatTemplate } from '../../families/chat-template.ts';
import { type ModelFiles, readConfig } from '../../families/config-reader.ts';
import type { FamilyTools, Processor } from '../../families/processor.ts';
import { modelTypes as known, openProcessor } from '../../families/registry.ts';
import { openTokenizer } from '../../families/tokenizer.ts';
import type { Decoder } from '../../generation/decoder.ts';
import { embeddingTable } from '../../onnx/embedding-table.ts';
import type { GraphFile } from '../../onnx/model/external-data.ts';
import { Session } from '../../onnx/ort-session.ts';
import { release, track } from '../../onnx/tensor.ts';
import { selfTestDecoder } from '../../self-test/decoder-self-test.ts';
import { ImageCache } from '../../vision/image-cache.ts';
import { decodeImage } from '../../vision/image-decoder.ts';
import { VisionEncoder } from '../../vision/vision-encoder.ts';
import { CpuMemory } from '../../wasm/cpu-memory.ts';
import type { Gpu } from '../../webgpu/gpu-device.ts';
import { GpuImageSplitter } from '../../webgpu/gpu-image-splitter.ts';
import { GpuMemory } from '../../webgpu/gpu-memory.ts';
import { ChatEngine } from '../common/chat-engine.ts';
import { closeSessions } from '../common/close-sessions.ts';
import { readGraph } from '../common/model-reader.ts';
import { type Opening, openEngine, start } from '../common/open-engine.ts';
import { readAhead } from '../common/read-ahead.ts';
import { probe } from '../common/select-device.ts';
import type { Engine, EngineKind } from '../engine.ts';
import { loadTransformers } from './load-transformers.ts';
import { PREPARED_BY_IT, PREPARED_BY_US } from './model-types.ts';

const NAME = 'transformers';

const GRAPHS = ['vision', 'decoder', 'embed'] as const satisfies GraphName[];

/** Runs the models of other families as transformers.js does, step by step. */
export const transformersEngine: EngineKind = {
  name: NAME,
  modelTypes: [...PREPARED_BY_US, ...PREPARED_BY_IT],
  probe,
  start,
  open: (request, options) =>
    openEngine(request, options, {
      name: NAME,
      stepsOf: () => GRAPHS.length,
      prepare,
      open,
    }),
};

interface Prepared {
  config: object;
  processor: Processor;
}

const tools: FamilyTools = {
  openTokenizer,
  openChatTemplate,
  imageCache: () => new ImageCache(decodeImage),
};

/** Opens the processor before the graphs are fetched, because it may refuse the model. */
async function prepare(files: ModelFiles): Promise<Prepared> {
  const family = readConfig(files, 'config.json').string('model_type');
  const config: object = JSON.parse(new TextDecoder().decode(files.get('config.json')));
  if (known.includes(family)) return { config, processor: openProcessor(files) };
  return { config, processor: (await loadTransformers()).openProcessor(files, tools) };
}

async function open({ config, processor }: Prepared, opening: Opening, signal: AbortSignal): Promise<Engine> {
  const { ort, gpu } = opening;
  const { assemble } = await loadTransformers();
  const opened: Session[] = [];
  const close = (): Promise<void> => closeSessions(opened, gpu?.fault);
  let decoder: Decoder | undefined;
  try {
    const sessions = await openSessions(opening, opened, signal);
    const parts = assemble({
      ort,
      device: gpu?.device,
      memory: gpu ? new GpuMemory(ort, gpu.device) : new CpuMemory(ort),
      sessions,
      openOnCpu: (graph) => Session.open(ort, { graph, externalData: [] }),
      track,
      release,
      config,
      maxRows: gpu?.workarounds.maxRows,
      processor,
    });
    ({ decoder } = parts);
    await decoder.calibrate();
    if (gpu) await selfTestDecoder(decoder, processor.config.vocab, signal);
    decoder.clear();
    const facts = opening.facts(processor.config.maxPositions);
    facts.reason += '; step by step as in transformers.js, because no faster engine knows this family';
    const splitter = gpu && new GpuImageSplitter(gpu.device);
    const vision = new VisionEncoder(ort, parts.vision, processor.encoderInputs, gpu?.device.limits, splitter);
    return new ChatEngine({ processor, decoder, vision, facts, gpu, close });
  } catch (error) {
    decoder?.close();
    await close();
    throw error;
  }
}

/** Opens the graphs one after the other, while the file of the next is read. */
async function openSessions(
  { ort, gpu, choice, read, onStep }: Opening,
  opened: Session[],
  signal: AbortSignal,
): Promise<Record<GraphName, Session>> {
  const reading = new AbortController();
  const until = AbortSignal.any([signal, reading.signal]);
  const next = readAhead(GRAPHS, (graph) => readGraph(choice.variant.graphs[graph], read, until));
  const openNext = async (name: GraphName): Promise<Session> => {
    const file = await next();
    signal.throwIfAborted();
    const isOnCpu = name === 'embed' && gpu && !canEmbed(gpu, file);
    const device = isOnCpu ? undefined : gpu?.device;
    const session = await Session.open(ort, file, device).catch((cause: unknown) => {
      if (isNearsightError(cause)) throw cause;
      throw new NearsightError('load_failed', `The ${name} graph could not be opened: ${String(cause)}`, { cause });
    });
    opened.push(session);
    onStep();
    return session;
  };
  try {
    return { vision: await openNext('vision'), decoder: await openNext('decoder'), embed: await openNext('embed') };
  } catch (error) {
    reading.abort();
    throw error;
  }
}

/** Variants for every device have tables in half precision too, for which onnxruntime's kernels need `shader-f16`. */
function canEmbed({ device }: Gpu, file: GraphFile): boolean {
  return device.features.has('shader-f16') || embeddingTable(file)?.type !== 'float16';
}
