import type { ImageSplitter } from '../backend/image-splitter.ts';
import type { Tensor } from '../onnx/ort.ts';
import type { ExampleInputs } from '../onnx/optimize/evaluate-model.ts';

/** A graph's inputs by name: in memory, or float32 in a GPU buffer. */
export type NamedTensors<Data = Tensor['data'] | GPUBuffer> = Readonly<
  Record<string, Pick<Tensor, 'type' | 'dims'> & { data: Data }>
>;

/** What the engine must know about a model's vision encoder, besides its graph. */
export interface EncoderInputs extends ExampleInputs {
  /** Bytes of the encoder's largest intermediate tensor, for each crop. */
  activationBytesPerCrop: number;
}

/** An image of a prompt, to be encoded unless its features are cached. */
export interface PromptImage {
  /** Identifies the decoded pixels and how they are split: equal keys mean equal features. */
  key: string;
  /** Number of crops. */
  crops: number;
  /** Feature rows of all crops together. */
  tokens: number;
  /**
   * Decodes the image if its pixels were not kept, and splits it.
   *
   * @throws NearsightError `unreadable_image`
   */
  open(splitter: ImageSplitter, signal: AbortSignal): Promise<VisionInputs>;
}

/** An image's crops, as inputs of the vision encoder. */
export interface VisionInputs {
  /** The inputs for some crops, valid until the next batch. */
  batch(first: number, count: number): Promise<NamedTensors>;
  close(): void;
}
