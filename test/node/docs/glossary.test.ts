import { existsSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const lines = readFileSync('docs/glossary.md', 'utf8').trimEnd().split('\n');
const rows = lines
  .filter((line) => /^\| (?!Term |---)/.test(line))
  .map((line) => line.split('|').map((cell) => cell.trim()));

it('docs/glossary.md has each term once, in one line that says what it means', () => {
  expect(lines.length).toBeLessThanOrEqual(132);
  expect(rows.length).toBeGreaterThan(50);
  const terms = rows.map(([, term]) => term);
  expect(terms).toEqual([...new Set(terms)]);
  for (const row of rows) {
    expect(row).toEqual(['', expect.stringMatching(/./), expect.stringMatching(/\.$/), expect.any(String), '']);
  }
});

it('each file that docs/glossary.md names exists', () => {
  const places = rows.map(([, , , where = '']) => /^`([^`]+)`$/.exec(where)?.[1] ?? where);
  expect(places.filter((where) => !existsSync(where))).toEqual([]);
});
