import { expect, it, vi } from 'vitest';
import type { FamilyTools, Processor } from '../../../worker/families/processor.ts';
import { openLibrary } from '../../../worker/families/bpe.ts';
import { ConfigReader } from '../../../worker/families/config-reader.ts';
import { openSentencePiece } from '../../../worker/families/gemma3/gemma3-bpe.ts';
import { openChatTemplate } from '../../../worker/families/chat-template.ts';
import { openOtherProcessor } from '../../../worker/families/other-families.ts';
import { openTokenizer } from '../../../worker/families/tokenizer.ts';
import { ImageCache } from '../../../worker/vision/image-cache.ts';
import { modelFiles, pattern } from '../vision/fixtures.ts';

const tools: FamilyTools = {
  openTokenizer,
  openChatTemplate,
  imageCache: () => new ImageCache(async () => pattern(1, 1)),
};

interface TokenizerFile {
  added_tokens: object[];
  model: { vocab: Record<string, number>; merges: (string | string[])[] };
  post_processor: object;
  decoder: object;
}

const filesOf = (family: string): Map<string, Uint8Array> =>
  modelFiles(new URL(`../../fixtures/families/${family}/`, import.meta.url));

function tokenizerFile(family: string): TokenizerFile {
  return JSON.parse(new TextDecoder().decode(filesOf(family).get('tokenizer.json'))) as TokenizerFile;
}

/** A family's tokenizer, with parts of its file changed. */
function open(family: string, change: (file: TokenizerFile) => Partial<TokenizerFile>): Processor {
  const file = tokenizerFile(family);
  const bytes = new TextEncoder().encode(JSON.stringify({ ...file, ...change(file) }));
  return openOtherProcessor(filesOf(family).set('tokenizer.json', bytes), tools)!;
}

async function idsOf(processor: Processor, text: string): Promise<number[]> {
  const turns = [{ role: 'user' as const, parts: [{ type: 'text' as const, text }] }];
  const { ids } = await processor.encodeChat(turns, Infinity, true, new AbortController().signal);
  return [...ids];
}

function textOf({ tokenizer }: Processor, ids: readonly number[], withSpecial = false): string {
  return new TextDecoder().decode(Uint8Array.from(ids.flatMap((id) => [...tokenizer.bytes(id, withSpecial)])));
}

const BYTES = { type: 'ByteLevel', add_prefix_space: true, trim_offsets: false, use_regex: true };

it("LFM2's published form, whose steps are in sequences, has the same ids", async () => {
  const inSequences = open('lfm2', ({ post_processor, decoder }) => ({
    post_processor: { type: 'Sequence', processors: [BYTES, post_processor] },
    decoder: { type: 'Sequence', decoders: [decoder] },
  }));
  const ids = await idsOf(inSequences, 'It is 12:34 <tool>');
  expect(ids).toEqual(
    await idsOf(
      open('lfm2', () => ({})),
      'It is 12:34 <tool>',
    ),
  );
  expect(textOf(inSequences, ids)).toContain('It is 12:34 <tool>');
});

it.each<[string, (file: TokenizerFile) => Partial<TokenizerFile>]>([
  [
    'post_processor should be',
    ({ post_processor: adds }) => ({ post_processor: { type: 'Sequence', processors: [adds, adds] } }),
  ],
  ['decoder should be', ({ decoder }) => ({ decoder: { type: 'Sequence', decoders: [decoder, decoder] } })],
  ['decoder should be', () => ({ decoder: { type: 'Fuse' } })],
])('sequences of more are refused: %s', (message, change) => {
  expect(() => open('lfm2', change)).toThrow(expect.objectContaining({ message: expect.stringContaining(message) }));
});

it("Gemma's added tokens with signs for spaces are spaces in a text, as in the reference", () => {
  const token = { single_word: false, lstrip: false, rstrip: false, normalized: false };
  const processor = open('gemma3', ({ added_tokens: added, model }) => ({
    added_tokens: [
      ...added,
      { ...token, id: model.vocab['▁▁'], content: '▁▁', special: false },
      { ...token, id: model.vocab['▁▁▁▁'], content: '▁▁▁▁', special: false },
      { ...token, id: 471, content: '<a▁b>', special: true },
    ],
  }));
  // A text's spaces are merged to them.
  const spaces = [...processor.tokenizer.encode('  '), ...processor.tokenizer.encode('    ')];
  expect(spaces).toHaveLength(2);
  expect(textOf(processor, spaces)).toBe('      ');
  expect(textOf(processor, [471])).toBe('');
  expect(textOf(processor, [471], true)).toBe('<a b>');
});

it("Gemma's text is cut into words, but not where a token goes on after a space", () => {
  const file = tokenizerFile('gemma3');
  const joined = { '▁</': 500, '>▁</': 501 };
  const merges = [...file.model.merges, ['▁<', '/'], ['>', '▁</']];
  const model = { ...file.model, vocab: { ...file.model.vocab, ...joined }, merges };
  const reader = new ConfigReader({ ...file, model }, 'tokenizer.json');
  const library = openLibrary(reader, null);
  const encode = vi.spyOn(library, 'encode');
  const bpe = openSentencePiece(reader, () => library);
  const ids = bpe.encode('it is</b> </b>  by> \u2581</ by>');
  const words = ['it', '▁is</b>▁</b>▁▁by>▁▁</', '▁by>'];
  expect(encode.mock.calls.map(([word]) => word)).toEqual(words);
  expect(ids).toEqual(library.encode(words.join('')).ids);
  expect(ids.filter((id) => id === 501)).toHaveLength(1);
});
