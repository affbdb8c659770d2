import { readFileSync } from 'node:fs';
import { Fields } from '../../worker/vlm/fields.ts';
import { openTokenizer, type TemplateTokenizer } from '../../worker/vlm/tokenizer.ts';

/** The tokenizer of the model that is part of the package. */
export function glimpseTokenizer(): TemplateTokenizer {
  const file = readFileSync(new URL('../../models/glimpse/tokenizer.json', import.meta.url), 'utf8');
  return openTokenizer(new Fields(JSON.parse(file), 'tokenizer.json'));
}
