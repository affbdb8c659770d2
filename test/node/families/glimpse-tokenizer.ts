import { readFileSync } from 'node:fs';
import { ConfigReader } from '../../../worker/families/config-reader.ts';
import { openTokenizer, type TemplateTokenizer } from '../../../worker/families/tokenizer.ts';

/** The tokenizer of the embedded model. */
export function glimpseTokenizer(): TemplateTokenizer {
  const file = readFileSync(new URL('../../../models/glimpse/tokenizer.json', import.meta.url), 'utf8');
  return openTokenizer(new ConfigReader(JSON.parse(file), 'tokenizer.json'));
}
