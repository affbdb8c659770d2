// @module-tag nightly
/** Vite 5, 6 and 7: build and development server, with and without `assets`. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  ASSETS,
  askAt,
  copyAssets,
  expectAnswer,
  expectAnswerAt,
  newApplication,
  note,
  packFirst,
  pageOf,
  run,
  withServer,
} from './application.ts';

packFirst();

const MINUTES = 60_000;

test.each(['vite-5', 'vite-6', 'vite-7'])('%s', { timeout: 10 * MINUTES }, async (bundler) => {
  const folder = newApplication(bundler, bundler);
  writeFileSync(join(folder, 'index.html'), pageOf('/application.js'));

  let start = Date.now();
  run(folder, 'vite', 'build', '--logLevel', 'warn');
  await expectAnswer(join(folder, 'dist'));
  note(folder, 'vite', 'build, no configuration, strict policy', start);

  start = Date.now();
  copyAssets(folder);
  run(folder, 'vite', 'build', '--logLevel', 'warn');
  await expectAnswer(join(folder, 'dist'), ASSETS);
  note(folder, 'vite', 'build, assets, strict policy', start);

  start = Date.now();
  const serve = (port: string): string[] => ['--port', port, '--host', '127.0.0.1', '--strictPort'];
  await withServer(folder, 'vite', serve, async (origin) => {
    await expectAnswerAt(origin, ASSETS);
    // The optimizer moves the page's side away from the worker: the error says what to do.
    expect(await askAt(origin)).toMatch(
      /^load_failed: .*npx nearsight assets.*optimizeDeps: \{ exclude: \['nearsight'\] \}/,
    );
  });
  note(folder, 'vite', 'development server, assets; without, the error that shows both ways', start);

  start = Date.now();
  writeFileSync(join(folder, 'vite.config.js'), "export default { optimizeDeps: { exclude: ['nearsight'] } };\n");
  await withServer(folder, 'vite', serve, (origin) => expectAnswerAt(origin));
  note(folder, 'vite', "development server, optimizeDeps.exclude: ['nearsight']", start);
});
