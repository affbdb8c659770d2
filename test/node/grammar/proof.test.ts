import { expect, test } from 'vitest';
import { glimpseTokenizer } from '../families/glimpse-tokenizer.ts';
import { proveAgainstAdversary, proveCalls, proveSchemas, tokensOf } from './proof.ts';

test('answers to 100 generated schemas validate, with the tokens of glimpse', () => {
  const { finished, cut, refused } = proveSchemas(tokensOf(glimpseTokenizer(), 1280), 100, 1);
  expect(finished).toBeGreaterThan(9 * cut);
  expect(refused).toBeLessThan(40);
});

test('calls of 60 sets of generated tools validate, with the tokens of glimpse', () => {
  const { finished, cut, refused } = proveCalls(tokensOf(glimpseTokenizer(), 1280), 60, 1);
  expect(finished).toBeGreaterThan(4 * cut);
  expect(refused).toBeLessThan(20);
});

test('a sampler that takes the least likely token cannot leave 30 of them, with the tokens of glimpse', () => {
  const { finished, cut } = proveAgainstAdversary(tokensOf(glimpseTokenizer(), 1280), 30, 1001);
  expect(finished + cut).toBeGreaterThan(15);
});
