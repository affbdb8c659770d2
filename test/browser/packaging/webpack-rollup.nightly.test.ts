// @module-tag nightly
/** Webpack 5 and Rollup, with and without `assets`, under the strict policy. */
import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ASSETS, copyAssets, expectAnswer, newApplication, note, packFirst, pageOf, run } from './application.ts';

packFirst();

const limit = { timeout: 600_000 };

test('webpack 5', limit, async () => {
  const folder = newApplication('webpack', 'webpack');
  const built = join(folder, 'dist');
  let start = Date.now();
  // With a warning it is `compiled with 1 warning`. The words alone are also in the names of chunks.
  expect(run(folder, 'webpack')).toMatch(/^webpack \S+ compiled successfully/m);
  writeFileSync(join(built, 'index.html'), pageOf('/main.js'));
  await expectAnswer(built);
  note(folder, 'webpack', 'no configuration, strict policy', start);
  start = Date.now();
  copyAssets(folder, 'dist/nearsight');
  await expectAnswer(built, ASSETS);
  note(folder, 'webpack', 'assets, strict policy', start);
});

test('Rollup', limit, async () => {
  const folder = newApplication('rollup', 'rollup');
  const built = join(folder, 'built');
  let start = Date.now();
  run(folder, 'rollup', '--config');
  writeFileSync(join(built, 'index.html'), pageOf('/application.js'));
  copyAssets(folder, 'built/nearsight');
  await expectAnswer(built, ASSETS);
  note(folder, 'rollup', 'assets, strict policy', start);
  start = Date.now();
  for (const part of ['worker.js', 'store.js', 'ort', 'glimpse']) {
    cpSync(join(built, 'nearsight', part), join(built, part), { recursive: true });
  }
  await expectAnswer(built);
  note(folder, 'rollup', 'files beside the bundle, strict policy', start);
});
