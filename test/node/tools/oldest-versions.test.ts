/** What docs/browsers.md says of the oldest browsers, against what was built. */
import { parse } from 'acorn';
import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const files = ['dist', 'dist/chunks', 'dist/ort'].flatMap((folder) =>
  readdirSync(folder)
    .filter((name) => /\.m?js$/.test(name))
    .map((name) => `${folder}/${name}`),
);
const code = new Map(files.map((file) => [file, readFileSync(file, 'utf8')]));

it.each(files)('%s has no syntax after ES2023', (file) => {
  expect(() => parse(code.get(file) ?? '', { ecmaVersion: 2023, sourceType: 'module' })).not.toThrow();
});

const [, section = ''] = readFileSync('docs/browsers.md', 'utf8').split('### Oldest versions');
const rows = [...section.matchAll(/^\| `([^`]+)`.*?\|\s*([\d.]+)\s*\|\s*([\d.]+)\s*\|\s*([\d.]+)\s*\|$/gm)];

it('the documented versions are the highest of their features', () => {
  const highest = [2, 3, 4].map((column) => Math.max(...rows.map((row) => Number(row[column]))));
  const [chromium, firefox, safari] = highest;
  expect(section).toContain(`Chromium ${chromium}, Firefox ${firefox}, Safari ${safari}`);
});

it.each(rows.map(([, feature = '']) => feature))('%s is used', (feature) => {
  expect([...code.values()].some((text) => text.includes(feature))).toBe(true);
});

/** Newer than that, by what it looks like in code. */
const YOUNGER =
  /\b(Promise\.(withResolvers|try)|(Object|Map)\.groupBy|Array\.fromAsync|RegExp\.escape|ReadableStream\.from|Iterator\.from|Float16Array|isWellFormed|transferToFixedLength)\b/g;

it('nothing newer is used, unless the code asks first whether it is there', () => {
  const own = files.filter((file) => !file.startsWith('dist/ort/'));
  const used = own.flatMap((file) => {
    const text = code.get(file) ?? '';
    const found = [...text.matchAll(YOUNGER)].map(([name]) => name);
    return found.filter((name) => !text.includes(`typeof ${name}`)).map((name) => `${file}: ${name}`);
  });
  expect(used).toEqual([]);
});
