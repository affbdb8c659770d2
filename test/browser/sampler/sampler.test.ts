import { expect, test } from 'vitest';
import { openWorkerPage, order } from '../harness/lone-worker.ts';

test('the GPU draws what the CPU draws', { timeout: 240_000 }, async () => {
  await using page = await openWorkerPage(new URL('worker.ts', import.meta.url));
  expect(await order<{ wrong: string[] }>(page)).toEqual({ wrong: [] });
});
