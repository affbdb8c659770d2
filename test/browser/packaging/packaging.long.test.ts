// @module-tag long
// @module-tag nightly-in-chromium
/** The packed tarball, built by the bundlers of the repository, or by none, answers as the Python reference does. */
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createServer } from 'vite';
import { expect, test } from 'vitest';
import { strictPolicy } from '../harness/harness.ts';
import {
  ASSETS,
  askIn,
  copyAssets,
  expectAnswer,
  expectAnswerAt,
  newApplication,
  packFirst,
  pageOf,
  run,
} from './application.ts';

packFirst();

test('a new Vite application, with no configuration, and with assets', async () => {
  const folder = newApplication('vite');
  copyAssets(folder);
  writeFileSync(join(folder, 'index.html'), pageOf('/application.js'));
  run(folder, 'vite', 'build', '--logLevel', 'warn');
  await expectAnswer(join(folder, 'dist'));
  await expectAnswer(join(folder, 'dist'), ASSETS);
});

test("the same application on Vite's development server", async () => {
  const root = newApplication('vite-dev');
  copyAssets(root);
  writeFileSync(join(root, 'index.html'), pageOf('/application.js'));
  const server = await createServer({ root, configFile: false, logLevel: 'warn', server: { host: '127.0.0.1' } });
  try {
    await server.listen(0);
    const { origin } = new URL(server.resolvedUrls?.local[0] ?? '');
    await expectAnswerAt(origin);
    await expectAnswerAt(origin, ASSETS);
  } finally {
    await server.close();
  }
});

test.each(['esm', 'iife'])('an esbuild application as %s, with assets', async (format) => {
  const folder = newApplication(`esbuild-${format}`);
  const built = join(folder, 'built');
  const splitting = format === 'esm' ? ['--splitting'] : [];
  const options = ['--bundle', '--minify', `--format=${format}`, ...splitting, `--outdir=${built}`];
  run(folder, 'esbuild', 'application.js', ...options);
  copyAssets(folder, 'built/nearsight');
  writeFileSync(join(built, 'index.html'), pageOf('/application.js'));
  await expectAnswer(built, ASSETS);
  // Nothing beside the bundle, and no assets: the error shows both ways.
  const lost = await askIn(built);
  expect(lost).toMatch(/^load_failed: /);
  expect(lost).toMatch(/npx nearsight assets .*optimizeDeps/);
});

test('an esbuild application, with the files beside its bundle', async () => {
  const folder = newApplication('esbuild-beside');
  const built = join(folder, 'built');
  run(folder, 'esbuild', 'application.js', '--bundle', '--format=esm', '--splitting', `--outdir=${built}`);
  for (const part of ['worker.js', 'store.js', 'wasm-passes.js', 'ort', 'glimpse']) {
    cpSync(join(folder, 'node_modules/nearsight/dist', part), join(built, part), { recursive: true });
  }
  writeFileSync(join(built, 'index.html'), pageOf('/application.js'));
  await expectAnswer(built);
});

test('a page without a bundler, with an import map', async () => {
  const folder = newApplication('plain');
  const site = join(folder, 'site');
  mkdirSync(site);
  cpSync(join(folder, 'node_modules/nearsight/dist'), join(site, 'nearsight'), { recursive: true });
  cpSync(join(folder, 'application.js'), join(site, 'application.js'));
  const imports = { nearsight: '/nearsight/index.js', 'nearsight/glimpse': '/nearsight/glimpse.js' };
  const map = JSON.stringify({ imports });
  writeFileSync(join(site, 'index.html'), `<script type="importmap">${map}</script>${pageOf('/application.js')}`);
  // An import map stands in the page, so the policy names it by its hash.
  const hash = createHash('sha256').update(map).digest('base64');
  const policy = strictPolicy.replace("script-src 'self'", `script-src 'self' 'sha256-${hash}'`);
  await expectAnswer(site, {}, policy);
  await expectAnswer(site, ASSETS, policy);
});
