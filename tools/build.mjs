/** Builds the package into dist: modules and the worker with Rolldown, declarations with the compiler, licences. */
import { copyFileSync, rmSync } from 'node:fs';
import { exit } from 'node:process';
import { build } from 'rolldown';
import { alias, filesBeside, scripts } from './build/files-beside.mjs';
import { Notices } from './build/notices.mjs';
import { tool } from './setup/command.mjs';

const notices = new Notices();

/**
 * The page side and the worker are built apart, so that the worker is one file: applications bundle it again, and most
 * bundlers cannot split a worker.
 *
 * Rolldown itself, because Vite's builds add a helper that needs a `window`, drop the comments that other bundlers read
 * (`webpackIgnore`), and rewrite `new URL(…, import.meta.url)` into expressions that only browsers understand.
 *
 * @param {Record<string, string>} input
 */
async function bundle(input) {
  await build({
    input,
    resolve: { alias },
    transform: { target: 'es2023' },
    preserveEntrySignatures: 'strict',
    plugins: [filesBeside(), notices.plugin()],
    output: {
      dir: 'dist',
      minify: true,
      sourcemap: true,
      comments: { legal: true, annotation: true, jsdoc: false },
      entryFileNames: '[name].js',
      chunkFileNames: 'chunks/[name]-[hash].js',
    },
  });
}

rmSync('dist', { recursive: true, force: true });
await bundle({
  index: 'src/index.ts',
  storage: 'src/storage/index.ts',
  glimpse: 'models/glimpse.ts',
  models: 'models/index.ts',
  proxy: 'proxy/index.ts',
});
// Each by itself: they are copied as they are, so they must not share chunks.
for (const [source, name] of Object.entries(scripts)) await bundle({ [name.replace('.js', '')]: source });
notices.write('dist/THIRD_PARTY_NOTICES.txt');
// Where its data come from, and under which terms.
copyFileSync('models/glimpse/README.md', 'dist/glimpse/README.md');
if (!tool('tsc', '-p', 'tsconfig.types.json')) exit(1);
