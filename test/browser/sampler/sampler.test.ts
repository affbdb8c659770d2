import { expect, test } from 'vitest';
import { digitIds } from '../../node/constraints.ts';
import { glimpseTokenizer } from '../../node/glimpse-tokenizer.ts';
import { openWorkerPage, order } from '../harness/lone-worker.ts';

test('the GPU draws what the CPU draws, free and under constraints', { timeout: 240_000 }, async () => {
  await using page = await openWorkerPage(new URL('worker.ts', import.meta.url));
  const digits = digitIds(glimpseTokenizer(), 1280);
  expect(await order<{ wrong: string[] }>(page, { digits })).toEqual({ wrong: [] });
});
