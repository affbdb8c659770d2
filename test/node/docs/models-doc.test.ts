import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import * as exported from '../../../models/index.ts';
import { modelsAsMarkdown } from '../../../tools/catalogue/model-list.mjs';
import { PREPARED_BY_IT } from '../../../worker/engines/transformers/model-types.ts';

const START = '<!-- Printed from models/known-models.ts. -->';
const END = '<!-- End of what is printed. -->';

it('docs/models.md lists the models that we know of', async () => {
  const [before = '', rest = ''] = readFileSync('docs/models.md', 'utf8').split(START);
  const [, after = ''] = rest.split(END);
  const page = `${before}${START}\n\n${modelsAsMarkdown(exported, PREPARED_BY_IT)}\n\n${END}${after}`;
  await expect(page).toMatchFileSnapshot('../../../docs/models.md');
});
