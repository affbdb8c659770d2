import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, test } from 'vitest';
import { readJson } from '../vision/fixtures.ts';
import { type Chat, encodesChats } from './chats.ts';

const shared = process.env['NEARSIGHT_SHARED'] ?? fileURLToPath(new URL('../../../../shared', import.meta.url));
const root = `${shared}/models/`;
const here = existsSync(root);

const SMOLVLM = 'SmolVLM-256M-Instruct';
const SMOLVLM2 = 'catalogues/SmolVLM2-500M-Video';
const GRANITE = 'catalogues/granite-docling-258M';

/** What `make_families.py` wrote. `split-image.test.ts` has the pixels. */
const golden = readJson<Record<'smolvlm' | 'smolvlm2' | 'granite-docling', { chats: Chat[] }>>('families.json');

test.skipIf(here)('the configs are not here: set NEARSIGHT_SHARED to the folder that has them', () => {});

const filesOf = (folder: string, ...names: string[]): [string, Uint8Array][] =>
  names.map((name) => [name, readFileSync(`${root}${folder}/${name}`)]);

const CONFIGS = ['config.json', 'preprocessor_config.json', 'processor_config.json'];
const OTHERS = ['generation_config.json', 'tokenizer.json', 'chat_template.json'];

describe.skipIf(!here)('SmolVLM-256M', () => {
  encodesChats(() => new Map(filesOf(SMOLVLM, ...CONFIGS, ...OTHERS)), golden.smolvlm.chats);
});

describe.skipIf(!here)('SmolVLM2-500M-Video, the frames of a video as images among them', () => {
  encodesChats(
    () => new Map([...filesOf(SMOLVLM2, ...CONFIGS), ...filesOf(SMOLVLM, ...OTHERS)]),
    golden.smolvlm2.chats,
  );
});

describe.skipIf(!here)('Granite-Docling-258M, its template in a file of its own', () => {
  const names = [...CONFIGS, 'generation_config.json', 'chat_template.jinja'];
  const open = () => new Map(filesOf(GRANITE, ...names)).set('tokenizer.json', graniteTokenizer());
  encodesChats(open, golden['granite-docling'].chats);
});

/** The tokenizer.json that the vocabulary makes. */
function graniteTokenizer(): Uint8Array {
  const [config, vocab, merges] = filesOf(GRANITE, 'tokenizer_config.json', 'vocab.json', 'merges.txt').map(
    ([, bytes]) => new TextDecoder().decode(bytes),
  );
  const { added_tokens_decoder: added } = JSON.parse(config ?? '') as {
    added_tokens_decoder: Record<string, { content: string }>;
  };
  const Regex = String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`;
  const split = { type: 'Split', pattern: { Regex }, behavior: 'Removed', invert: true };
  const bytes = { type: 'ByteLevel', add_prefix_space: false, use_regex: false };
  const tokenizer = {
    added_tokens: Object.entries(added).map(([id, { content }]) => ({ id: Number(id), content, special: true })),
    pre_tokenizer: { type: 'Sequence', pretokenizers: [split, bytes] },
    decoder: { type: 'ByteLevel' },
    model: {
      type: 'BPE',
      vocab: JSON.parse(vocab ?? '') as unknown,
      merges: merges?.split('\n').filter((line) => line !== '' && !line.startsWith('#version')),
    },
  };
  return new TextEncoder().encode(JSON.stringify(tokenizer));
}
