import { expect, test } from 'vitest';
import type { Part } from '../../../src/protocol/job.ts';
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
  const source = { logits: async () => logits, step: async () => {} };
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
