import type { Turn } from '../../src/protocol/job.ts';
import type { EncoderInputs, PromptImage } from '../vision/vision-inputs.ts';
import type { ImageCache } from '../vision/image-cache.ts';
import type { openChatTemplate } from './chat-template.ts';
import type { TextConfig } from './config-reader.ts';
import type { openTokenizer, Tokenizer } from './tokenizer.ts';

/**
 * The part of the engine that depends on the model family: it encodes a chat to token ids, and images to the vision
 * encoder's inputs. All else (encode, merge, prefill, decode) is the same for all families.
 */
export interface Processor {
  readonly config: TextConfig;
  readonly tokenizer: Tokenizer;
  /** The token that the prompt has for each feature row of an image. */
  readonly imageTokenId: number;
  readonly encoderInputs: EncoderInputs;
  /**
   * Identifies the images, plans how they are split, and renders the prompt.
   *
   * @param maxPixels larger images are refused
   * @param useCache whether to use and fill the image cache, so that known files are not decoded to be identified
   * @throws NearsightError `unreadable_image` with the part's `param`
   */
  encodeChat(turns: readonly Turn[], maxPixels: number, useCache: boolean, signal: AbortSignal): Promise<Prompt>;
  /** Clears the image cache. */
  forget(): void;
}

export interface Prompt {
  /** Token ids, with one `imageTokenId` for each row of each image's features. */
  ids: Int32Array;
  /** In the order in which their features are merged. */
  images: PromptImage[];
  /** Of models whose tokens have several positions each; absent: tokens are counted from 0. */
  positions?: PromptPositions | undefined;
}

/** Positions of multimodal rotary embeddings (mrope): an image's tokens have those of its rows and columns. */
export interface PromptPositions {
  /** The position of each of the prompt's tokens in time, and its row and its column. Text has the same one three times. */
  axes: readonly [time: Int32Array, row: Int32Array, column: Int32Array];
  /** The position of the first token after the prompt, on every axis; those after it count on. */
  next: number;
}

/** What the worker has in any case: the file of the second engine, which has the other families, need not have it again. */
export interface FamilyTools {
  openTokenizer: typeof openTokenizer;
  openChatTemplate: typeof openChatTemplate;
  imageCache: () => ImageCache;
}
