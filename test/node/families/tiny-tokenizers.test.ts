import { readFileSync } from 'node:fs';
import { describe, expect, it, test } from 'vitest';
import { readConfig } from '../../../worker/families/config-reader.ts';
import { openTokenizer } from '../../../worker/families/tokenizer.ts';
import { tinyAvailable, tinyFile, tinyGolden, tinyMissing } from '../../fixtures/tiny-folders.ts';

interface Golden {
  tokenizer: { cases: { text: string; ids: number[] }[] };
}

test.skipIf(tinyAvailable)(tinyMissing, () => {});

/** The ids are those of the tokenizers library in Rust. (For Granite, transformers splits three of these texts as GPT-2 does.) */
describe.skipIf(!tinyAvailable).each(['smolvlm2-tiny', 'granite-docling-tiny'])('the tokenizer of %s', (folder) => {
  const { cases } = tinyAvailable ? tinyGolden<Golden>(folder).tokenizer : { cases: [] };
  const open = () => {
    const bytes = readFileSync(tinyFile(folder, 'tokenizer.json'));
    return openTokenizer(readConfig(new Map([['tokenizer.json', bytes]]), 'tokenizer.json'));
  };

  it.each(cases)('splits %j as Rust does', ({ text, ids }) => {
    expect(open().encodeTemplate(text)).toEqual(ids);
  });

  it('has all texts that it splits', () => {
    expect(cases).toHaveLength(18);
  });
});
