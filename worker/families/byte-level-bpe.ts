import { escape, type OpenBpe, stepsOf } from './bpe.ts';
import { type ConfigReader, isRecord } from './config-reader.ts';
import { rustPreTokenizer } from './pre-tokenizer.ts';

/** BPE of bytes, each written as a letter: GPT-2's, and most others'. */
export const openByteLevel: OpenBpe = (file, open) => {
  const decoders = stepsOf(file.get('decoder'), 'decoders').map((step) => isRecord(step) && step['type']);
  if (decoders.join() !== 'ByteLevel') throw file.error('decoder', 'of the type ByteLevel');
  const composed = file.get('normalizer') !== null && file.get('normalizer') !== undefined;
  // Either would change the text or the ids around special tokens, which are split off before.
  if (composed) file.expect('normalizer.type', 'NFC');
  const byteOf = byteAlphabet();
  const pretokenizers = [rustPreTokenizer(file), ...dropUnknown(file, byteOf.keys())];
  const library = open(file, { type: 'Sequence', pretokenizers });
  return {
    encode: (text) => library.encode(composed ? text.normalize('NFC') : text).ids,
    bytes(id, name) {
      // Added tokens are written as they are.
      if (name !== undefined) return new TextEncoder().encode(name);
      const letters = library.id_to_token(id) ?? '';
      const bytes = new Uint8Array(letters.length);
      for (let at = 0; at < letters.length; at++) bytes[at] = byteOf.get(letters.charAt(at)) ?? 0;
      return bytes;
    },
  };
};

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
