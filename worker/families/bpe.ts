import { Tokenizer as Library } from '@huggingface/tokenizers';
import type { ConfigReader } from './config-reader.ts';

/** What a `tokenizer.json` does between added tokens. */
export interface Bpe {
  encode(text: string): number[];
  /** The bytes of a token, which may be parts of characters. */
  bytes(id: number): Uint8Array;
}

/** @param open opens the library; it is given, so that a file of its own does not have the package again */
export type OpenBpe = (file: ConfigReader, open: typeof openLibrary) => Bpe;

/** The library's BPE alone: it must neither find special tokens nor add any. */
export function openLibrary(file: ConfigReader, preTokenizer: object | null): Library {
  const json = {
    model: file.get('model'),
    decoder: file.get('decoder'),
    normalizer: null,
    pre_tokenizer: preTokenizer,
    post_processor: null,
    added_tokens: [],
  };
  return new Library(json, {});
}

/** Text as a regular expression for it. */
export const escape = (text: string): string => text.replace(/\W/g, '\\$&');
