import type { Processor } from '../../families/processor.ts';
import { openProcessor } from '../../families/registry.ts';
import type { Decoder } from '../../generation/decoder.ts';
import { selfTestCanary } from '../../self-test/canary-self-test.ts';
import { selfTestDecoder } from '../../self-test/decoder-self-test.ts';
import { replayFailure } from '../../self-test/replay-self-test.ts';
import { VisionEncoder } from '../../vision/vision-encoder.ts';
import { GpuImageSplitter } from '../../webgpu/gpu-image-splitter.ts';
import { ChatEngine, type ChatParts } from '../common/chat-engine.ts';
import { closeSessions } from '../common/close-sessions.ts';
import { readGraph } from '../common/model-reader.ts';
import { type Opening, openEngine, start } from '../common/open-engine.ts';
import { probe } from '../common/select-device.ts';
import type { Engine, EngineKind } from '../engine.ts';
import { openGraphs, sessionsOf, stepsOf } from './load-graphs.ts';
import { openDecoder } from './open-decoder.ts';

const NAME = 'onnx';

/** Runs the graphs of families whose decoders it knows how to speed up, with onnxruntime-web on WebGPU or wasm. */
export const onnxEngine: EngineKind = {
  name: NAME,
  modelTypes: ['idefics3', 'smolvlm'],
  probe,
  start,
  open: (request, options) =>
    openEngine(request, options, { name: NAME, stepsOf, prepare: (files) => openProcessor(files), open }),
};

async function open(processor: Processor, opening: Opening, signal: AbortSignal): Promise<Engine> {
  const { ort, gpu, canary, read, onStep } = opening;
  const { variant } = opening.choice;
  const facts = opening.facts(processor.config.maxPositions);
  const { contextLength: positions } = facts;
  const { encoderInputs } = processor;
  const graphs = await openGraphs({
    ort,
    gpu,
    positions,
    encoderInputs,
    precision: variant.f16 ? 'float16' : 'float32',
    read: (graph, until) => readGraph(variant.graphs[graph], read, until),
    onStep,
    signal,
  });
  // Only the sessions, because an embedding table is a view on its whole file, and a GPU has a copy of it.
  const sessions = sessionsOf(graphs);
  const close = (): Promise<void> => closeSessions(sessions, gpu?.fault);
  let decoder: Decoder | undefined;
  try {
    if (graphs.remark !== undefined) facts.reason += `; ${graphs.remark}`;
    decoder = await openDecoder(ort, graphs, positions, gpu);
    if (graphs.decoder.capturing && !decoder.replays) {
      facts.reason += '; steps are not captured (a graph looks up the embeddings)';
    }
    const splitter = gpu && new GpuImageSplitter(gpu.device);
    const vision = new VisionEncoder(ort, graphs.vision, encoderInputs, gpu?.device.limits, splitter);
    const parts = { processor, decoder, vision, facts, gpu, close };
    // Wasm runs the same code on every device, so there is nothing to compare.
    if (gpu) await selfTest(parts, signal);
    if (canary) await selfTestCanary(decoder, canary, processor.config.vocab, signal);
    return new ChatEngine(parts);
  } catch (error) {
    decoder?.close();
    await close();
    throw error;
  }
}

/** Compiles and checks what runs on the GPU. */
async function selfTest({ processor, decoder, facts }: ChatParts, signal: AbortSignal): Promise<void> {
  const { vocab } = processor.config;
  if (decoder.replays) {
    const failure = await replayFailure(decoder, vocab, signal);
    if (failure !== undefined) {
      decoder.replays = false;
      facts.reason += `; steps are not captured (${failure})`;
    }
  }
  await selfTestDecoder(decoder, vocab, signal);
  await decoder.calibrate();
}
