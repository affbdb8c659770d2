import type { Turn } from '../../src/protocol/job.ts';
import type { EncoderInputs, PromptImage } from '../vision/vision-inputs.ts';
import type { TextConfig } from './config-reader.ts';
import type { Tokenizer } from './tokenizer.ts';

/**
 * What differs from one model family to the next: how a chat becomes token ids, and its images what the vision encoder
 * reads. Everything after that (encode, merge, prefill, decode) is the same for all.
 */
export interface Processor {
  readonly config: TextConfig;
  readonly tokenizer: Tokenizer;
  /** Stands in the prompt for each feature row of an image. */
  readonly imageTokenId: number;
  readonly encoderInputs: EncoderInputs;
  /**
   * Identifies the images, decides how they are split, and renders the prompt.
   *
   * @param maxPixels most that an image may have
   * @param remember whether to know the images' files the next time, so that they need not be decoded
   * @throws NearsightError `unreadable_image` with the part's `param`
   */
  encodeChat(turns: readonly Turn[], maxPixels: number, remember: boolean, signal: AbortSignal): Promise<Prompt>;
  /** Forgets all images' files. */
  forget(): void;
}

export interface Prompt {
  /** Token ids, with one `imageTokenId` for each row of each image's features. */
  ids: Int32Array;
  /** In the order in which their features are merged. */
  images: PromptImage[];
}
