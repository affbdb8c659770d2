import type { ImageSplitter } from '../backend/image-splitter.ts';
import type { Tensor } from '../onnx/ort.ts';
import type { ExampleInputs } from '../onnx/optimize/evaluate-model.ts';

/** What a graph's inputs are given, by their names: in memory, or float32 in a GPU buffer. */
export type NamedTensors<Data = Tensor['data'] | GPUBuffer> = Readonly<
  Record<string, Pick<Tensor, 'type' | 'dims'> & { data: Data }>
>;

/** What the engine must know of a model's vision encoder, besides its graph. */
export interface EncoderInputs extends ExampleInputs {
  /** Bytes of the largest result between two of the encoder's nodes, for each crop. */
  activationBytesPerCrop: number;
}

/** An image of a prompt: what features are made of, where they are not known yet. */
export interface PromptImage {
  /** Names the decoded pixels and how they are split: equal keys mean equal features. */
  key: string;
  /** How many crops it is encoded in. */
  crops: number;
  /** Feature rows of all crops together. */
  tokens: number;
  /**
   * Decodes it if its pixels were not kept, and splits it.
   *
   * @throws NearsightError `unreadable_image`
   */
  open(splitter: ImageSplitter, signal: AbortSignal): Promise<VisionInputs>;
}

/** An image's crops, as the vision encoder reads them. */
export interface VisionInputs {
  /** The encoder's inputs for some of them; valid until the next batch. */
  batch(first: number, count: number): Promise<NamedTensors>;
  close(): void;
}
