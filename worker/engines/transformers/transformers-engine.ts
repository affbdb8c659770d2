import { openChatTemplate } from '../../families/chat-template.ts';
import { type ModelFiles, readConfig } from '../../families/config-reader.ts';
import type { FamilyTools } from '../../families/processor.ts';
import { modelTypes as known, openProcessor } from '../../families/registry.ts';
import { openTokenizer } from '../../families/tokenizer.ts';
import { embeddingDevice } from '../../onnx/embedding-table.ts';
import { exportedLayer } from '../../onnx/optimize/exported-layer.ts';
import { Session } from '../../onnx/ort-session.ts';
import { pseudoRandomInput } from '../../onnx/optimize/test-input.ts';
import { release, track } from '../../onnx/tensor.ts';
import { selfTestCanary } from '../../self-test/canary-self-test.ts';
import { selfTestDecoder, withinMemory } from '../../self-test/decoder-self-test.ts';
import { selfTestLayer } from '../../self-test/layer-self-test.ts';
import { ImageCache } from '../../vision/image-cache.ts';
import { decodeImage } from '../../vision/image-decoder.ts';
import { runEncoder, VisionEncoder } from '../../vision/vision-encoder.ts';
import { CpuMemory } from '../../wasm/cpu-memory.ts';
import { GpuImageSplitter } from '../../webgpu/gpu-image-splitter.ts';
import { GpuMemory } from '../../webgpu/gpu-memory.ts';
import { ChatEngine } from '../common/chat-engine.ts';
import { openEngine, start } from '../common/open-engine.ts';
import { probe } from '../common/select-device.ts';
import type { EngineKind } from '../engine.ts';
import type { Prepared, WorkerTools } from './kit.ts';
import { loadTransformers } from './load-transformers.ts';
import { PREPARED_BY_IT, PREPARED_BY_US } from './model-types.ts';

const NAME = 'transformers';

/** Runs the models of other families as transformers.js does, step by step. */
export const transformersEngine: EngineKind = {
  name: NAME,
  modelTypes: [...PREPARED_BY_US, ...PREPARED_BY_IT],
  probe,
  start,
  open: (request, options) =>
    openEngine(request, options, {
      name: NAME,
      // Each graph, and the self-test of a layer.
      stepsOf: (device) => (device === 'webgpu' ? 4 : 3),
      prepare,
      open: async (prepared, opening, signal) => (await loadTransformers()).open(prepared, opening, tools, signal),
    }),
};

const families: FamilyTools = {
  openTokenizer,
  openChatTemplate,
  imageCache: () => new ImageCache(decodeImage),
};

const tools: WorkerTools = {
  ChatEngine,
  CpuMemory,
  GpuImageSplitter,
  GpuMemory,
  Session,
  VisionEncoder,
  embeddingDevice,
  exportedLayer,
  pseudoRandomInput,
  release,
  runEncoder,
  withinMemory,
  selfTestCanary,
  selfTestDecoder,
  selfTestLayer,
  track,
};

/** Reads the configs before the graphs are fetched, because they may be refused. */
async function prepare(files: ModelFiles): Promise<Prepared> {
  const family = readConfig(files, 'config.json').string('model_type');
  const chunk = await loadTransformers();
  const processor = known.includes(family) ? openProcessor(files) : chunk.openProcessor(files, families);
  return { config: chunk.readModelConfig(files), processor };
}
