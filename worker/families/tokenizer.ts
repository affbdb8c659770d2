import { Tokenizer as Bpe } from '@huggingface/tokenizers';
import { type ConfigReader, isRecord } from './config-reader.ts';

export interface Tokenizer {
  /** Ids of plain text: names of special tokens in it are text like any other. */
  encode(text: string): number[];
  /** The bytes that a token stands for; none for special tokens. Not always whole characters: decode as a stream. */
  bytes(id: number): Uint8Array;
}

/** A tokenizer that can also read rendered templates, in which names of special tokens mean those tokens. */
export interface TemplateTokenizer extends Tokenizer {
  /** As `encode`, but names of special tokens become their ids. What was quoted stays plain text. */
  encodeTemplate(text: string): number[];
  /** Marks text so that no special token's name can be read in it, nor across its borders, once it is in a template. */
  quote(text: string): string;
  /** Every special token's name, with its id. */
  readonly special: ReadonlyMap<string, number>;
}

/** Follows the first letter of whatever might be a name. Unicode guarantees that it is no character. */
const MARK = '\uFFFF';

/**
 * Opens a byte-level BPE `tokenizer.json`.
 *
 * Special tokens are split off here and not in the library, which would find them in plain text too. Sections between
 * them are encoded one by one, as every implementation does, so the ids are the same.
 */
export function openTokenizer(file: ConfigReader): TemplateTokenizer {
  file.expect('model.type', 'BPE');
  file.expect('decoder.type', 'ByteLevel');
  // Either would change the text or the ids around special tokens, which the split above them does not expect.
  if (file.get('normalizer')) throw file.error('normalizer', 'absent');
  if (file.get('post_processor')) throw file.error('post_processor', 'absent');
  const special = specialTokens(file);
  const byteOf = byteAlphabet();
  const bpe = new Bpe(
    {
      model: file.get('model'),
      decoder: file.get('decoder'),
      normalizer: null,
      pre_tokenizer: {
        type: 'Sequence',
        pretokenizers: [rustPreTokenizer(file.get('pre_tokenizer')), ...dropUnknown(file, byteOf.keys())],
      },
      post_processor: null,
      added_tokens: [],
    },
    {},
  );
  // Longest first: of two names that start at the same place, the longer one wins.
  const names = [...special.keys()].sort((a, b) => b.length - a.length);
  const splitter = new RegExp(`(${names.map(escape).join('|')})`);
  const firstLetters = new RegExp(`[${names.map((name) => escape(name.charAt(0))).join('')}]`, 'g');
  const specialIds = new Set(special.values());

  const encode = (text: string): number[] => (text === '' ? [] : bpe.encode(text).ids);
  return {
    special,
    encode,
    // A text's own marks are doubled; single ones are ours.
    quote: (text) => text.replaceAll(MARK, MARK + MARK).replace(firstLetters, `$&${MARK}`),
    encodeTemplate: (text) =>
      text
        .split(splitter)
        .flatMap((section) => special.get(section) ?? encode(section.replace(/\uFFFF(\uFFFF?)/g, '$1'))),
    bytes(id) {
      const token = specialIds.has(id) ? '' : (bpe.id_to_token(id) ?? '');
      return Uint8Array.from(token, (letter) => byteOf.get(letter) ?? 0);
    },
  };
}

const escape = (text: string): string => text.replace(/\W/g, '\\$&');

function specialTokens(file: ConfigReader): Map<string, number> {
  const tokens = new Map<string, number>();
  const added = file.get('added_tokens');
  if (!Array.isArray(added) || added.length === 0) throw file.error('added_tokens', 'a list of special tokens');
  for (const token of added) {
    const plain = isRecord(token) && token['special'] && !token['lstrip'] && !token['rstrip'] && !token['single_word'];
    const { content, id } = plain ? token : {};
    if (typeof content !== 'string' || content.length < 2 || typeof id !== 'number') {
      throw file.error('added_tokens', `special tokens that match by name alone (see ${JSON.stringify(token)})`);
    }
    tokens.set(content, id);
  }
  return tokens;
}

/** GPT-2's pattern, with `\s` written as the property that Rust means by it. */
const GPT2_WORDS =
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\p{White_Space}\\p{L}\\p{N}]+" +
  '|\\p{White_Space}+(?!\\P{White_Space})|\\p{White_Space}+';

/**
 * The same pre-tokenizer, spelt so that JavaScript splits as the Rust original does. Two steps differ otherwise:
 * `Digits` means all of Unicode's numbers there and 0 to 9 in JavaScript, and `\s` disagrees on U+0085 and U+FEFF.
 */
function rustPreTokenizer(step: unknown): unknown {
  if (!isRecord(step)) return step;
  const split = (pattern: string): object => ({
    type: 'Split',
    pattern: { Regex: pattern },
    behavior: 'Isolated',
    invert: false,
  });
  switch (step['type']) {
    case 'Sequence': {
      const steps: unknown = step['pretokenizers'];
      return Array.isArray(steps) ? { ...step, pretokenizers: steps.map(rustPreTokenizer) } : step;
    }
    case 'Digits':
      return split(step['individual_digits'] ? '\\p{N}' : '\\p{N}+');
    case 'ByteLevel':
      if (step['add_prefix_space'] || step['use_regex'] === false) return step;
      return { type: 'Sequence', pretokenizers: [split(GPT2_WORDS), { ...step, use_regex: false }] };
    default:
      return step;
  }
}

/**
 * A step that takes out bytes for which the vocabulary has no token (control characters, in SmolVLM's). Rust does so
 * before merging, so that their neighbours meet; the library does after.
 */
function dropUnknown(file: ConfigReader, alphabet: Iterable<string>): object[] {
  const vocab = file.get('model.vocab');
  if (!isRecord(vocab) || file.get('model.unk_token')) return [];
  const unknown = [...alphabet].filter((letter) => !(letter in vocab));
  if (unknown.length === 0) return [];
  return [{ type: 'Replace', pattern: { Regex: `[${unknown.map(escape).join('')}]` }, content: '' }];
}

/**
 * The alphabet of byte-level BPE, letter to byte: printable Latin-1 stands for itself, every other byte for the next
 * letter from U+0100 on (GPT-2's `bytes_to_unicode`).
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
