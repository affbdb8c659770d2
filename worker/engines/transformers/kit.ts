import type { Processor } from '../../families/processor.ts';
import type { TensorMemory } from '../../backend/tensor-memory.ts';
import type { Decoder } from '../../generation/decoder.ts';
import type { Ort, Tensor } from '../../onnx/ort.ts';
import type { Session } from '../../onnx/ort-session.ts';
import type { EncoderSession } from '../../vision/vision-encoder.ts';

/**
 * What the worker gives to the chunk of transformers.js: everything with a state that there must be one of, and code that the
 * worker has anyway.
 */
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
  /** The model's `config.json`. */
  config: object;
  /** Most rows of a prompt to read at once; absent: as many as suit the graph. */
  maxRows: number | undefined;
  processor: Processor;
}

/** What the chunk makes of it. */
export interface TransformersParts {
  decoder: Decoder;
  vision: EncoderSession;
}
