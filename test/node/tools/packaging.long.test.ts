// @module-tag long
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';

/** Runs a command of an installed package and returns its output. Throws if it fails. */
function run(name: string, ...args: string[]): string {
  return execFileSync(`node_modules/.bin/${name}`, args, { encoding: 'utf8' });
}

test('publint finds nothing', () => {
  expect(run('publint', '--strict')).toContain('All good!');
});

test('the types resolve under every resolution that reads `exports`', () => {
  // The package is ES modules only; attw fails on a problem in any other resolution.
  const report = run('attw', '--pack', '.', '--profile', 'esm-only', '--format', 'ascii', '--no-emoji');
  expect(report).toContain('"nearsight/glimpse"');
});

test("the types need the web's types only", () => {
  const folder = mkdtempSync(join(tmpdir(), 'nearsight-types-'));
  try {
    const installed = join(folder, 'node_modules/nearsight');
    for (const part of ['dist', 'package.json']) cpSync(part, join(installed, part), { recursive: true });
    const source = `
      import { createNearsight } from 'nearsight';
      import { glimpse } from 'nearsight/glimpse';
      import { createNimProxy, toNodeHandler } from 'nearsight/proxy';
      createNearsight({ model: glimpse }).fetch satisfies typeof fetch;
      const proxy = createNimProxy({ apiKey: 'nvapi-…', authorize: () => true, models: ['meta/llama'] });
      proxy(new Request('')) satisfies Promise<Response>;
      toNodeHandler(proxy);
      // @ts-expect-error There are no Node types here.
      process.exit();`;
    writeFileSync(join(folder, 'application.ts'), source);
    const lib = ['ES2023', 'DOM', 'DOM.Iterable', 'DOM.AsyncIterable'];
    const compilerOptions = {
      noEmit: true,
      strict: true,
      module: 'ESNext',
      moduleResolution: 'Bundler',
      types: [],
      lib,
    };
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['.'] }));
    expect(run('tsc', '-p', folder)).toBe('');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('the package has all files that it needs, and no others', () => {
  const [{ files }] = JSON.parse(execFileSync('npm', ['pack', '--dry-run', '--json'], { encoding: 'utf8' }));
  const paths: string[] = files.map(({ path }: { path: string }) => path);
  const unexpected = paths.filter(
    (path) => !/^(dist\/|bin\/nearsight\.mjs$|package\.json$|README\.md$|CHANGELOG\.md$|LICENSE$)/.test(path),
  );
  expect(unexpected).toEqual([]);
  for (const needed of ['dist/index.js', 'dist/glimpse.js', 'dist/worker.js', 'dist/src/index.d.ts']) {
    expect(paths).toContain(needed);
  }
});
