// @module-tag nightly
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { ConfigReader } from '../../../worker/families/config-reader.ts';
import { openTokenizer } from '../../../worker/families/tokenizer.ts';
import { runSeed } from '../../random.ts';
import { glimpseTokenizer } from '../families/glimpse-tokenizer.ts';
import { proveAgainstAdversary, proveCalls, proveSchemas, summary, tokensOf } from './proof.ts';

const folder = process.env['SMOLVLM_DIR'];

test('answers to 2,000 generated schemas validate, with the tokens of glimpse', { timeout: 600_000 }, () => {
  const count = proveSchemas(tokensOf(glimpseTokenizer(), 1280), 2000, runSeed());
  console.log(summary(count));
  expect(count.finished).toBeGreaterThan(9 * count.cut);
});

test('calls of 500 sets of generated tools validate', { timeout: 600_000 }, () => {
  const count = proveCalls(tokensOf(glimpseTokenizer(), 1280), 500, runSeed());
  console.log(summary(count));
  expect(count.finished).toBeGreaterThan(4 * count.cut);
});

test('an adversarial sampler cannot leave 300 of them', { timeout: 600_000 }, () => {
  console.log(summary(proveAgainstAdversary(tokensOf(glimpseTokenizer(), 1280), 300, runSeed())));
});

test.skipIf(!folder)(
  'answers to 200 generated schemas validate, with the tokens of SmolVLM (skipped without SMOLVLM_DIR)',
  { timeout: 1_200_000 },
  () => {
    const file = JSON.parse(readFileSync(`${folder}/tokenizer.json`, 'utf8'));
    const tokens = tokensOf(openTokenizer(new ConfigReader(file, 'tokenizer.json')), 49280);
    const count = proveSchemas(tokens, 200, runSeed());
    console.log(summary(count));
    expect(count.finished).toBeGreaterThan(9 * count.cut);
  },
);
