import { describe, expect, test } from 'vitest';
import { glimpseTokenizer } from '../families/glimpse-tokenizer.ts';
import { proveAgainstAdversary, proveCalls, proveSchemas, tokensOf } from './proof.ts';

const tokens = tokensOf(glimpseTokenizer(), 1280);

// The first of each list, and in long tests the whole list; proof.nightly.test.ts has thousands.
describe.each([
  { schemas: 40, sets: 24, adversaries: 12, tags: [] },
  { schemas: 100, sets: 60, adversaries: 30, tags: ['long'] },
])('with the tokens of glimpse', ({ schemas, sets, adversaries, tags }) => {
  test(`answers to ${schemas} generated schemas validate`, { tags }, () => {
    const { finished, cut, refused } = proveSchemas(tokens, schemas, 1);
    expect(finished).toBeGreaterThan(9 * cut);
    expect(refused).toBeLessThan(0.4 * schemas);
  });

  test(`calls of ${sets} sets of generated tools validate`, { tags }, () => {
    const { finished, cut, refused } = proveCalls(tokens, sets, 1);
    expect(finished).toBeGreaterThan(4 * cut);
    expect(refused).toBeLessThan(sets / 3);
  });

  test(`a sampler that takes the least likely token cannot leave ${adversaries} of them`, { tags }, () => {
    const { finished, cut } = proveAgainstAdversary(tokens, adversaries, 1001);
    expect(finished + cut).toBeGreaterThan(adversaries / 2);
  });
});
