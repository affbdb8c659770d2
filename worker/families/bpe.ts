import { Tokenizer as Library } from '@huggingface/tokenizers';
import { type ConfigReader, isRecord } from './config-reader.ts';

/** What a `tokenizer.json` does between added tokens. */
export interface Bpe {
  encode(text: string): number[];
  /**
   * The bytes of a token, which may be parts of characters.
   *
   * @param name of an added token, which the vocabulary need not have
   */
  bytes(id: number, name?: string): Uint8Array;
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

/** The steps of a part of a `tokenizer.json`: those in the list of a sequence, or the part itself as the only one. */
export function stepsOf(part: unknown, list: string): unknown[] {
  return [isRecord(part) && part['type'] === 'Sequence' ? part[list] : part].flat();
}

/** Text as a regular expression for it. */
export const escape = (text: string): string => text.replace(/\W/g, '\\$&');
