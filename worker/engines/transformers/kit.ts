import type { Processor } from '../../families/processor.ts';
import type { exportedLayer } from '../../onnx/optimize/exported-layer.ts';
import type { embeddingDevice } from '../../onnx/embedding-table.ts';
import type { pseudoRandomInput } from '../../onnx/optimize/test-input.ts';
import type { release, track } from '../../onnx/tensor.ts';
import type { selfTestCanary } from '../../self-test/canary-self-test.ts';
import type { selfTestDecoder, withinMemory } from '../../self-test/decoder-self-test.ts';
import type { selfTestLayer } from '../../self-test/layer-self-test.ts';
import type { TensorMemory } from '../../backend/tensor-memory.ts';
import type { Decoder } from '../../generation/decoder.ts';
import type { Ort, Tensor } from '../../onnx/ort.ts';
import type { Session } from '../../onnx/ort-session.ts';
import type { EncoderSession, runEncoder, VisionEncoder } from '../../vision/vision-encoder.ts';
import type { CpuMemory } from '../../wasm/cpu-memory.ts';
import type { GpuImageSplitter } from '../../webgpu/gpu-image-splitter.ts';
import type { GpuMemory } from '../../webgpu/gpu-memory.ts';
import type { ChatEngine } from '../common/chat-engine.ts';
import type { ModelConfig } from './transformers-model.ts';

/** What is read of a model before its graphs. */
export interface Prepared {
  config: ModelConfig;
  processor: Processor;
}

/**
 * What the worker gives to the chunk of transformers.js: everything with a state that there must be one of, and code that the
 * worker has anyway.
 */
export interface WorkerTools {
  ChatEngine: typeof ChatEngine;
  CpuMemory: typeof CpuMemory;
  GpuImageSplitter: typeof GpuImageSplitter;
  GpuMemory: typeof GpuMemory;
  Session: typeof Session;
  VisionEncoder: typeof VisionEncoder;
  embeddingDevice: typeof embeddingDevice;
  exportedLayer: typeof exportedLayer;
  pseudoRandomInput: typeof pseudoRandomInput;
  release: typeof release;
  runEncoder: typeof runEncoder;
  withinMemory: typeof withinMemory;
  selfTestCanary: typeof selfTestCanary;
  selfTestDecoder: typeof selfTestDecoder;
  selfTestLayer: typeof selfTestLayer;
  track: typeof track;
}

/** What a model's parts are made of. */
export interface TransformersKit {
  ort: Ort;
  /** Absent on wasm. */
  device: GPUDevice | undefined;
  memory: TensorMemory;
  sessions: Record<'vision' | 'embed' | 'decoder', Session>;
  /** Opens a graph of transformers.js's own, which scales images, on the CPU. */
  openOnCpu: (graph: Uint8Array) => Promise<Session>;
  /** Counts a GPU tensor until it is released. */
  track: (tensor: Tensor) => void;
  release: (tensor: Tensor) => void;
  config: ModelConfig;
  /** Maximum number of positions in a sequence. */
  positions: number;
  /** Most rows of a prompt to read at once; absent: as many as suit the graph. */
  maxRows: number | undefined;
  processor: Processor;
}

/** What the chunk makes of it. */
export interface TransformersParts {
  decoder: Decoder;
  vision: EncoderSession;
}
