import { Tokenizer as Bpe } from '@huggingface/tokenizers';
import { type ConfigReader, isRecord } from './config-reader.ts';
import { rustPreTokenizer } from './pre-tokenizer.ts';

export interface Tokenizer {
  /** Encodes plain text: names of special tokens in it are text like any other. */
  encode(text: string): number[];
  /**
   * The bytes of a token. They may be parts of characters: decode them as a stream.
   *
   * @param withSpecial whether special tokens have those of their names; default: they have none
   */
  bytes(id: number, withSpecial?: boolean): Uint8Array;
}

/** A tokenizer that also encodes rendered templates, in which names of special tokens are those tokens. */
export interface TemplateTokenizer extends Tokenizer {
  /** Like `encode`, but names of special tokens become their ids, except in quoted text. */
  encodeTemplate(text: string): number[];
  /** Quotes text for a template, so that no special token's name is found in it or across its borders. */
  quote(text: string): string;
  /** Ids of all special tokens, by name. */
  readonly special: ReadonlyMap<string, number>;
}

/** Quoted text has this mark after each letter that could start a name. Unicode guarantees that it is no character. */
const MARK = '\uFFFF';

/**
 * Opens a byte-level BPE `tokenizer.json`.
 *
 * Special tokens are split off here, because the library would find them in plain text too. Sections between them are
 * encoded one by one, as every implementation does, so the ids are the same.
 */
export function openTokenizer(file: ConfigReader): TemplateTokenizer {
  file.expect('model.type', 'BPE');
  file.expect('decoder.type', 'ByteLevel');
  // Either would change the text or the ids around special tokens, which are split off before.
  if (file.get('normalizer')) throw file.error('normalizer', 'absent');
  if (file.get('post_processor')) throw file.error('post_processor', 'absent');
  const special = specialTokens(file);
  const byteOf = byteAlphabet();
  const pretokenizers = [rustPreTokenizer(file), ...dropUnknown(file, byteOf.keys())];
  const json = {
    model: file.get('model'),
    decoder: file.get('decoder'),
    normalizer: null,
    pre_tokenizer: { type: 'Sequence', pretokenizers },
    post_processor: null,
    added_tokens: [],
  };
  const bpe = new Bpe(json, {});
  // Longest first: of two names that start at the same index, the longer one wins.
  const names = [...special.keys()].sort((a, b) => b.length - a.length);
  const splitter = new RegExp(`(${names.map(escape).join('|')})`);
  const firstLetters = new RegExp(`[${names.map((name) => escape(name.charAt(0))).join('')}]`, 'g');
  const namesById = new Map(Array.from(special, ([name, id]) => [id, name]));

  const encode = (text: string): number[] => (text === '' ? [] : bpe.encode(text).ids);
  return {
    special,
    encode,
    // Marks of the text itself are doubled; single ones are ours.
    quote: (text) => text.replaceAll(MARK, MARK + MARK).replace(firstLetters, `$&${MARK}`),
    encodeTemplate: (text) =>
      text
        .split(splitter)
        .flatMap((section) => special.get(section) ?? encode(section.replace(/\uFFFF(\uFFFF?)/g, '$1'))),
    bytes(id, withSpecial = false) {
      const name = namesById.get(id);
      if (name !== undefined) return withSpecial ? new TextEncoder().encode(name) : new Uint8Array();
      const token = bpe.id_to_token(id) ?? '';
      return Uint8Array.from(token, (letter) => byteOf.get(letter) ?? 0);
    },
  };
}

/** Gemma has 6,415. All names are in one regular expression. */
const MOST_SPECIAL = 2 ** 14;
const MOST_NAME = 256;

const escape = (text: string): string => text.replace(/\W/g, '\\$&');

function specialTokens(file: ConfigReader): Map<string, number> {
  const tokens = new Map<string, number>();
  const added = file.get('added_tokens');
  if (!Array.isArray(added) || added.length === 0 || added.length > MOST_SPECIAL) {
    throw file.error('added_tokens', `a list of up to ${MOST_SPECIAL} special tokens`);
  }
  for (const token of added) {
    const plain = isRecord(token) && token['special'] && !token['lstrip'] && !token['rstrip'] && !token['single_word'];
    const { content, id } = plain ? token : {};
    const named = typeof content === 'string' && content.length >= 2 && content.length <= MOST_NAME;
    if (!named || typeof id !== 'number') {
      throw file.error('added_tokens', `special tokens that match by name alone (see ${JSON.stringify(token)})`);
    }
    tokens.set(content, id);
  }
  return tokens;
}

/**
 * A step that removes bytes without a token in the vocabulary (control characters, in SmolVLM's). Rust removes them
 * before merging, so that their neighbours merge; the library removes them after.
 */
function dropUnknown(file: ConfigReader, alphabet: Iterable<string>): object[] {
  const vocab = file.get('model.vocab');
  if (!isRecord(vocab) || file.get('model.unk_token')) return [];
  const unknown = [...alphabet].filter((letter) => !(letter in vocab));
  if (unknown.length === 0) return [];
  return [{ type: 'Replace', pattern: { Regex: `[${unknown.map(escape).join('')}]` }, content: '' }];
}

/**
 * The alphabet of byte-level BPE, from letter to byte: printable Latin-1 letters are their own bytes, and the letters from
 * U+0100 on are the other bytes in order (GPT-2's `bytes_to_unicode`).
 */
function byteAlphabet(): Map<string, number> {
  const letters = new Map<string, number>();
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
    letters.set(String.fromCharCode(printable ? byte : next++), byte);
  }
  return letters;
}
