import type { OpenBpe } from '../bpe.ts';
import { type ConfigReader, isRecord } from '../config-reader.ts';

/** What is written for a space. */
const SPACE = '\u2581';

const DECODERS = [
  { type: 'Replace', pattern: { String: SPACE }, content: ' ' },
  { type: 'ByteFallback' },
  { type: 'Fuse' },
];

/** A byte of a character that has no token. */
const BYTE = /^<0x([0-9A-F]{2})>$/;

/** SentencePiece's BPE, as in Gemma: of characters, with a sign for spaces, and bytes of what has no token. */
export const openSentencePiece: OpenBpe = (file, open) => {
  file.expect('model.byte_fallback', true);
  file.expect('normalizer.type', 'Replace');
  file.expect('normalizer.pattern.String', ' ');
  file.expect('normalizer.content', SPACE);
  // Splits at spaces, of which the normalizer leaves none.
  file.expect('pre_tokenizer.pattern.String', ' ');
  if (JSON.stringify(file.get('decoder.decoders')) !== JSON.stringify(DECODERS)) {
    throw file.error('decoder', 'the decoder of SentencePiece');
  }
  const library = open(file, null);
  const words = wordsOf(file);
  const encoder = new TextEncoder();
  return {
    encode: (text) => words(text.replaceAll(' ', SPACE)).flatMap((word) => library.encode(word).ids),
    bytes(id, name) {
      // Added tokens too have this sign: Gemma's runs of spaces.
      const token = name ?? library.id_to_token(id) ?? '';
      const byte = BYTE.exec(token)?.[1];
      return byte === undefined
        ? encoder.encode(token.replaceAll(SPACE, ' '))
        : Uint8Array.of(Number.parseInt(byte, 16));
    },
  };
};

/**
 * The file makes one word of each text. Where no token has a space after a character, nothing is merged across there: shorter
 * words give the same tokens, are found in the library's cache, and take no time with the length of the text.
 */
function wordsOf(file: ConfigReader): (text: string) => string[] {
  const vocab = file.get('model.vocab');
  const joined = new RegExp(`[^](?=${SPACE})`, 'g');
  // Spaces, and in Gemma 3 `>`, for the sake of one token with a closing tag.
  const kept = new Set(Object.keys(isRecord(vocab) ? vocab : {}).flatMap((token) => token.match(joined) ?? []));
  const codes = [SPACE, ...kept].map((letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`);
  const start = new RegExp(`(?<![${codes.join('')}])(?=${SPACE})`);
  return (text) => text.split(start);
}
