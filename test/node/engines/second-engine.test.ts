import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { FILES_NOT_RUN } from '../../browser/second-engine/reasons.ts';

const folder = new URL('../../browser/', import.meta.url);
const testsIn = (path: string): string[] =>
  readdirSync(new URL(path, folder)).filter((name) => name.endsWith('.test.ts'));

test('every browser test is run on the second engine too, or it says why not', () => {
  const run = testsIn('second-engine').map((name) => {
    const text = readFileSync(new URL(`second-engine/${name}`, folder), 'utf8');
    return /onSecondEngine\('(.+)'\)/.exec(text)?.[1];
  });
  const known = new Set([...run, ...Object.keys(FILES_NOT_RUN)]);
  expect(known).toEqual(new Set(testsIn('.').map((name) => name.replace('.test.ts', ''))));
});
