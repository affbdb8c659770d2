import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ConfigReader } from '../../../worker/families/config-reader.ts';
import { rustPreTokenizer } from '../../../worker/families/pre-tokenizer.ts';
import { openTokenizer } from '../../../worker/families/tokenizer.ts';
import tekken from '../../fixtures/families/tekken/splits.json' with { type: 'json' };
import { FIXTURES, modelFiles } from '../vision/fixtures.ts';

const read = (step: unknown) => rustPreTokenizer(new ConfigReader({ pre_tokenizer: step }, 'tokenizer.json'));
const split = (Regex: string, change = {}) => ({
  type: 'Split',
  pattern: { Regex },
  behavior: 'Isolated',
  invert: false,
  ...change,
});
const bytes = { type: 'ByteLevel', add_prefix_space: false, use_regex: false };
const qwen = String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`;

/** The pattern that the library gets. */
const patternOf = (step: object) =>
  new RegExp(/"Regex":"(.*?)"[,}]/.exec(JSON.stringify(read(step)))?.[1]?.replaceAll('\\\\', '\\') ?? '', 'gu');

describe('split patterns', () => {
  it.each([
    ['one of its own', split('(a+)+$')],
    ['a known one that was changed', split(`${qwen}|(x+x+)+y`)],
    ['text', { ...split(qwen), pattern: { String: ' ' } }],
    ['no pattern', { type: 'Split', behavior: 'Isolated', invert: false }],
    ['another behaviour', split(qwen, { behavior: 'MergedWithNext' })],
    ['the matches removed', split(qwen, { behavior: 'Removed' })],
    ['a step of the library', { type: 'Replace', pattern: { Regex: '(a+)+$' }, content: '' }],
    ['another step', { type: 'Metaspace' }],
    ['no type', {}],
  ])('with %s are refused', (_, step) => {
    for (const whole of [step, { type: 'Sequence', pretokenizers: [step, bytes] }]) {
      expect(() => read(whole)).toThrow(/^tokenizer.json: pre_tokenizer should be one that is known, without /);
    }
  });

  it('in no list of steps are refused', () => {
    const many = { type: 'Sequence', pretokenizers: Array.from({ length: 17 }, () => bytes) };
    const nested = { type: 'Sequence', pretokenizers: [{ type: 'Sequence', pretokenizers: [bytes] }] };
    for (const step of [undefined, null, 'Split', { type: 'Sequence' }, many, nested]) {
      expect(() => read(step)).toThrow('pre_tokenizer should be');
    }
  });

  it('that are known split like the original', () => {
    const pattern = patternOf(split(qwen));
    const pieces = (text: string) => text.match(pattern);
    expect(pieces("It'S 42 tests,\r\n  isn’t it?  ")).toEqual([
      'It',
      "'S",
      ' ',
      '4',
      '2',
      ' tests',
      ',\r\n',
      ' ',
      ' isn',
      '’t',
      ' it',
      '?',
      '  ',
    ]);
    // White space in Rust, and not in JavaScript; and the other way round.
    expect(pieces('a\u0085\u0085b')).toEqual(['a', '\u0085', '\u0085b']);
    expect(pieces('a \uFEFF')).toEqual(['a', ' \uFEFF']);
    expect(patternOf(split(qwen, { behavior: 'Removed', invert: true })).source).toBe(pattern.source);
  });

  it('of tekken split random texts like the Python tokenizers', () => {
    const { pattern, cases } = tekken;
    expect(cases.length).toBeGreaterThan(300);
    const known = patternOf(split(pattern));
    for (const [text, lengths] of cases as [string, number[]][]) {
      const pieces = text.match(known) ?? [];
      expect([pieces.map((piece) => Array.from(piece).length), pieces.join('')]).toEqual([lengths, text]);
    }
  });

  it('of tekken take no longer than a text is long', () => {
    const known = patternOf(split(tekken.pattern));
    for (const letter of ['A', 'a', '\u02b0', '\u6f22', '\u0301', ' ', '\n', '/', '!']) {
      const text = letter.repeat(200_000);
      const start = performance.now();
      expect(text.match(known)?.join('')).toBe(text);
      expect(performance.now() - start).toBeLessThan(5000);
    }
  });

  const shared = join(process.env['NEARSIGHT_SHARED'] ?? '../shared', 'models/tiny');
  const here = existsSync(shared);
  const models = here
    ? readdirSync(shared).filter((name) => existsSync(join(shared, name, 'tokenizer.json')))
    : ['none'];
  it.skipIf(!here).each(models)('of the tiny %s are known (needs NEARSIGHT_SHARED)', (name) => {
    const tokenizer = JSON.parse(readFileSync(join(shared, name, 'tokenizer.json'), 'utf8')) as {
      pre_tokenizer: object;
    };
    // Gemma's is no byte-level one.
    if (name === 'gemma3-tiny') expect(() => read(tokenizer.pre_tokenizer)).toThrow('the split pattern {"String":" "}');
    else expect(read(tokenizer.pre_tokenizer)).toBeDefined();
  });

  it.skipIf(!here)('of Granite-Docling give the ids of the Python tokenizer (needs NEARSIGHT_SHARED)', () => {
    const folder = join(shared, 'granite-docling-tiny');
    const json: unknown = JSON.parse(readFileSync(join(folder, 'tokenizer.json'), 'utf8'));
    const { cases } = JSON.parse(readFileSync(join(folder, 'golden.json'), 'utf8')) as {
      cases: Record<string, { prompt: string; input_ids: number[]; images: string[] }>;
    };
    const tokenizer = openTokenizer(new ConfigReader(json, 'tokenizer.json'));
    const texts = Object.values(cases).filter(({ images }) => images.length === 0);
    expect(texts.length).toBeGreaterThan(0);
    for (const { prompt, input_ids: ids } of texts) expect(tokenizer.encodeTemplate(prompt)).toEqual(ids);
  });
});

describe('special tokens', () => {
  const file = modelFiles(new URL('model/', FIXTURES)).get('tokenizer.json');
  const json = JSON.parse(new TextDecoder().decode(file)) as { added_tokens: object[] };
  const openWith = (added: object[]) =>
    openTokenizer(new ConfigReader({ ...json, added_tokens: added }, 'tokenizer.json'));

  it('are refused if they are too many, or have too long names', () => {
    const token = (id: number, content: string) => ({ id, content, special: true });
    const many = Array.from({ length: 2 ** 14 + 1 }, (_, id) => token(id, `<${id}>`));
    expect(() => openWith(many)).toThrow('a list of up to 16384 tokens');
    expect(() => openWith([token(1, `<${'x'.repeat(300)}>`)])).toThrow('match by name alone');
    expect(openWith(json.added_tokens).special.size).toBe(json.added_tokens.length);
  });
});
