import { existsSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const lines = readFileSync('docs/glossary.md', 'utf8').trimEnd().split('\n');
const rows = lines
  .filter((line) => /^\| (?!Term |---)/.test(line))
  .map((line) => line.split('|').map((cell) => cell.trim()));

it('docs/glossary.md says of each term once, in a line, what it means and where it lives', () => {
  expect(lines.length).toBeLessThanOrEqual(120);
  expect(rows.length).toBeGreaterThan(50);
  const terms = rows.map(([, term]) => term);
  expect(terms).toEqual([...new Set(terms)]);
  for (const row of rows)
    expect(row).toEqual(['', expect.stringMatching(/./), expect.stringMatching(/\.$/), row[3], '']);
});

// The glossary names files where they are going to be: `?` marks those whose name is not settled.
it.skipIf(existsSync('src/wire'))('what docs/glossary.md names is where it says', () => {
  const places = rows.map(([, , , where = '']) => where);
  expect(places.filter((where) => !existsSync(where.replaceAll('`', '')))).toEqual([]);
});
