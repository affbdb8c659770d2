import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';

/** @returns what a command of an installed package printed; throws with it if it failed */
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

test('the package holds what it needs and nothing else', () => {
  const [{ files }] = JSON.parse(execFileSync('npm', ['pack', '--dry-run', '--json'], { encoding: 'utf8' }));
  const paths: string[] = files.map(({ path }: { path: string }) => path);
  const strangers = paths.filter((path) => !/^(dist\/|package\.json$|README\.md$|CHANGELOG\.md$|LICENSE$)/.test(path));
  expect(strangers).toEqual([]);
  for (const needed of ['dist/index.js', 'dist/glimpse.js', 'dist/worker.js', 'dist/src/index.d.ts']) {
    expect(paths).toContain(needed);
  }
});
