import { expect, test } from 'vitest';
import { glimpseTokenizer } from '../families/glimpse-tokenizer.ts';
import { proveSchemas, tokensOf } from './proof.ts';

test('answers to 100 generated schemas validate, with the tokens of glimpse', () => {
  const { finished, cut, refused } = proveSchemas(tokensOf(glimpseTokenizer(), 1280), 100, 1);
  expect(finished).toBeGreaterThan(9 * cut);
  expect(refused).toBeLessThan(40);
});
