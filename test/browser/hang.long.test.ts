// @module-tag long
import { expect, test } from 'vitest';
import { openLab } from './harness/test-page.ts';

test('a worker that hangs while it opens the model is replaced by one without threads', async () => {
  await using page = await openLab();
  const result = await page.evaluate(async () => {
    const near = lab.make('wasm');
    const before = sabotage.workers.length;
    const states: string[] = [];
    let hung = false;
    near.status.subscribe(({ state }) => {
      states.push(state);
      if (state !== 'downloading' || hung) return;
      hung = true;
      sabotage.hang();
    });
    const { hardware } = await near.load();
    const works = await lab.works(near);
    near.dispose();
    return { hardware, works, started: sabotage.workers.length - before, failed: states.includes('failed') };
  });
  expect(result).toEqual({ hardware: '1 wasm thread', works: true, started: 2, failed: false });
});
