import { describe, expect, test } from 'vitest';
import type { ChatJob, Part, TokenRules } from '../../../src/protocol/job.ts';
import { generateChoice } from '../../../worker/generation/generate.ts';
import { sampleOnCpu } from '../../../worker/generation/sample-on-cpu.ts';
import { digitIds, ToyConstraint } from '../sampling/toy-constraint.ts';
import { glimpseTokenizer } from '../families/glimpse-tokenizer.ts';
import { GREEDY } from '../engines/dawn-engine.ts';

const { signal } = new AbortController();
const VOCAB = 1280;

test('each choice of a request gets its own constraint', async () => {
  const tokenizer = glimpseTokenizer();
  const digits = digitIds(tokenizer, VOCAB);
  const logits = Float32Array.from({ length: VOCAB }, (_, id) => Math.sin(id));
  const source = { logits: async () => logits, step: async () => {}, read: async () => {} };
  const constraints: ToyConstraint[] = [];
  const context = {
    decoder: { sample: (request: Parameters<typeof sampleOnCpu>[1]) => sampleOnCpu(source, request, signal) },
    tokenizer,
    stopIds: [0],
    prompt: Int32Array.of(5),
    maxTokens: 20,
    seed: 1,
    // Five tokens of digits, then the end token.
    constrain(): ToyConstraint {
      const constraint = new ToyConstraint(VOCAB, ({ length }) => (length < 5 ? digits : [0]));
      constraints.push(constraint);
      return constraint;
    },
    onToken: () => {},
  };
  const parts: Part[] = [];
  const job = { sampling: { ...GREEDY, temperature: 1 }, stop: [], topLogprobs: undefined };
  for (const choice of [0, 1]) await generateChoice(context, job, choice, (part) => parts.push(part), signal);
  const texts = [0, 1].map((choice) =>
    parts.map((part) => (part.type === 'text' && part.choice === choice ? part.text : '')).join(''),
  );
  expect(texts[0]).toMatch(/^\d{5,}$/);
  expect(texts[1]).toMatch(/^\d{5,}$/);
  expect(texts[0]).not.toBe(texts[1]);
  expect(constraints.map(({ accepted }) => accepted.length)).toEqual([6, 6]);
  expect(parts.filter((part) => part.type === 'finish')).toMatchObject([{ reason: 'stop' }, { reason: 'stop' }]);
});

describe('the rules of a request', () => {
  const tokenizer = glimpseTokenizer();
  /** The end token; it has no text. */
  const END = 1279;
  /** A special token as well. */
  const IMAGE = 1278;
  const [A = 0, B = 0, STOP = 0] = ['a', 'b', '.'].flatMap((letter) => tokenizer.encode(letter));

  /** The parts of an answer with these tokens. */
  async function answer(ids: number[], rules: TokenRules, changes: Partial<ChatJob> = {}): Promise<Part[]> {
    const context = {
      decoder: {
        async *sample() {
          for (const id of ids) yield { id };
        },
      },
      tokenizer,
      stopIds: [END],
      prompt: Int32Array.of(5),
      maxTokens: ids.length,
      seed: 1,
      onToken: () => {},
    };
    const parts: Part[] = [];
    const job = { sampling: GREEDY, stop: [], topLogprobs: undefined, rules, ...changes };
    const tokens = await generateChoice(context, job, 0, (part) => parts.push(part), signal);
    expect(tokens).toBeLessThanOrEqual(ids.length);
    return parts;
  }

  const textOf = (parts: Part[]): string => parts.map((part) => (part.type === 'text' ? part.text : '')).join('');
  const reasonOf = (parts: Part[]): Part | undefined => parts.find(({ type }) => type === 'finish');

  test('an end token that is ignored has no text, and the answer goes on', async () => {
    expect(textOf(await answer([A, END, B], {}))).toBe('a');
    const parts = await answer([A, END, B], { ignoreEos: true });
    expect(textOf(parts)).toBe('ab');
    expect(reasonOf(parts)).toMatchObject({ reason: 'length' });
  });

  test('a stop token ends the answer, also if end tokens are ignored', async () => {
    const parts = await answer([A, STOP, B], { stopIds: [STOP], ignoreEos: true });
    expect(textOf(parts)).toBe('a');
    expect(reasonOf(parts)).toMatchObject({ reason: 'stop' });
    expect(textOf(await answer([A, END, B], { stopIds: [END], ignoreEos: true }))).toBe('a');
  });

  test('the text of what ends the answer is part of it if it is included', async () => {
    expect(textOf(await answer([A, STOP, B], { stopIds: [STOP], includeStop: true }))).toBe('a.');
    expect(textOf(await answer([A, END, B], { includeStop: true }))).toBe('a');
    expect(textOf(await answer([A, END, B], { includeStop: true }, { specialTokens: true }))).toBe('a');
    const named = { includeStop: true, stopIds: [END] };
    expect(textOf(await answer([A, END, B], named, { specialTokens: true }))).toBe('a<end_of_utterance>');
    expect(textOf(await answer([A, IMAGE, END, B], {}))).toBe('a');
    expect(textOf(await answer([A, IMAGE, END, B], {}, { specialTokens: true }))).toBe('a<image>');
    expect(textOf(await answer([A, STOP, B], { includeStop: true }, { stop: ['.'] }))).toBe('a.');
  });

  test('a stop text counts from the token behind the shortest answer on', async () => {
    expect(textOf(await answer([STOP, STOP, A, STOP, B], { minTokens: 2 }, { stop: ['.'] }))).toBe('..a');
  });

  test('token ids come with each token, also of one without text, and not unasked', async () => {
    const parts = await answer([A, STOP, END], {}, { tokenIds: true, stop: ['.b'] });
    expect(parts).toEqual([
      { type: 'text', choice: 0, text: 'a', ids: [A] },
      { type: 'text', choice: 0, text: '', ids: [STOP] },
      { type: 'text', choice: 0, text: '', ids: [END] },
      { type: 'text', choice: 0, text: '.' },
      { type: 'finish', choice: 0, reason: 'stop' },
    ]);
    expect(await answer([A, END], {})).not.toContainEqual(expect.objectContaining({ ids: expect.anything() }));
  });
});
