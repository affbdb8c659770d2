import type { Turn } from '../../src/wire/job.ts';
import type { Rgb } from '../vision/resample.ts';
import type { Grid, ViewSettings } from './idefics3/idefics3-tiles.ts';

/**
 * A model's configs and tokenizer as they were downloaded, by the name they have on the hub: `config.json`,
 * `generation_config.json`, `preprocessor_config.json`, `processor_config.json`, `tokenizer.json`,
 * `tokenizer_config.json`, `chat_template.json`.
 */
export type FamilyFiles = ReadonlyMap<string, Uint8Array>;

/**
 * What a model family does: turn a chat into token ids and pictures' pixels. Everything after that (encode, merge,
 * prefill, decode) is the same for all.
 */
export interface Family {
  readonly config: TextConfig;
  readonly tokenizer: Tokenizer;
  /** Stands in the prompt for each feature row of a picture. */
  readonly imageTokenId: number;
  /** Edge of a picture's view, in pixels. */
  readonly view: number;
  /**
   * Identifies the pictures, lays out their views and renders the prompt.
   *
   * @param remember whether to know the pictures' files the next time, so that they need not be decoded
   * @throws NearsightError `unreadable_image` with the part's `param`
   */
  read(turns: readonly Turn[], maxPixels: number, remember: boolean, signal: AbortSignal): Promise<Prompt>;
  /** Forgets all pictures' files. */
  forget(): void;
}

/** The decoder's numbers, from `config.json`. */
export interface TextConfig {
  layers: number;
  kvHeads: number;
  headDim: number;
  hidden: number;
  vocab: number;
  /** Most positions the rotary table was trained for. */
  maxPositions: number;
  /** Generation ends at any of these. */
  stopIds: readonly number[];
}

export interface Tokenizer {
  /** Ids of plain text: names of special tokens in it are text like any other. */
  encode(text: string): number[];
  /** The bytes that a token stands for; none for special tokens. Not always whole characters: decode as a stream. */
  bytes(id: number): Uint8Array;
}

export interface Prompt {
  /** Token ids, with one `imageTokenId` for each row of each picture's features. */
  ids: Int32Array;
  /** In the order in which their features are merged. */
  pictures: Picture[];
}

export interface Picture {
  /** Names the decoded pixels and how they were cut: equal keys mean equal features. */
  key: string;
  /** Views: tiles in reading order, then the whole. */
  frames: number;
  /** Feature rows of all views together. */
  tokens: number;
  /** Edge of a view, in pixels. */
  size: number;
  /** How it is cut into them. */
  grid: Grid;
  settings: ViewSettings;
  /**
   * The decoded picture, whole.
   *
   * @throws NearsightError `unreadable_image` as `read` does: of many large pictures the pixels are not all kept.
   */
  pixels(): Promise<Rgb>;
  /**
   * Float32 [frames, 3, size, size], normalised; computed on demand, so that features found by `key` cost nothing.
   *
   * @throws NearsightError as `pixels`
   */
  pixelValues(): Promise<Float32Array<ArrayBuffer>>;
}
