// @module-tag nightly
/**
 * Next.js 15 with `assets`: webpack, Turbopack, and the development servers. Next.js needs inline scripts, so there is no
 * strict policy here.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'vitest';
import { ASSETS, copyAssets, expectAnswerAt, newApplication, note, packFirst, run, withServer } from './application.ts';

packFirst();

const at = (port: string): string[] => ['--port', port, '--hostname', '127.0.0.1'];

test('Next.js 15', { timeout: 1_200_000 }, async () => {
  const folder = newApplication('next', 'next');
  copyAssets(folder);
  for (const bundler of ['webpack', 'Turbopack']) {
    const flags = bundler === 'Turbopack' ? ['--turbopack'] : [];
    rmSync(join(folder, '.next'), { recursive: true, force: true });
    let start = Date.now();
    run(folder, 'next', 'build', ...flags);
    await withServer(
      folder,
      'next',
      (port) => ['start', ...at(port)],
      (origin) => expectAnswerAt(origin, ASSETS),
    );
    note(folder, 'next', `build with ${bundler}, assets`, start);
    start = Date.now();
    await withServer(
      folder,
      'next',
      (port) => ['dev', ...flags, ...at(port)],
      (origin) => expectAnswerAt(origin, ASSETS),
    );
    note(folder, 'next', `development server with ${bundler}, assets`, start);
  }
});
