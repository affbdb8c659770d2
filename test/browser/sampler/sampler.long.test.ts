// @module-tag long
import { expect, test } from 'vitest';
import { digitIds } from '../../node/sampling/toy-constraint.ts';
import { glimpseTokenizer } from '../../node/families/glimpse-tokenizer.ts';
import { openWorkerPage, order } from '../harness/worker-page.ts';

test('the GPU samples the same tokens as the CPU, with and without constraints', async () => {
  await using page = await openWorkerPage(new URL('worker.ts', import.meta.url));
  const digits = digitIds(glimpseTokenizer(), 1280);
  expect(await order<{ wrong: string[] }>(page, { digits })).toEqual({ wrong: [] });
});
