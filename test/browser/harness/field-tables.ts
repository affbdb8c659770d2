import { readFileSync } from 'node:fs';

/** A field in docs/api.md. */
export interface Row {
  field: string;
  support: string;
  /** Values of a refused field that are accepted, because they change nothing. */
  noOpValues: unknown[];
}

/** The tables of fields in docs/api.md, by their titles. */
export const TABLES: ReadonlyMap<string, Row[]> = new Map(
  readFileSync('docs/api.md', 'utf8')
    .split(/^## /m)
    .filter((section) => /^\| `\w+` \| (honoured|harmless|refused) \|/m.test(section))
    .map((section) => [section.slice(0, section.indexOf('\n')), rowsOf(section)]),
);

function rowsOf(section: string): Row[] {
  return section.split('\n').flatMap((line) => {
    if (!line.startsWith('| `')) return [];
    const row = /^\| `(\w+)` \| (honoured|harmless|refused) \|.*?(?:Accepted: (.*?)\. )?\|$/.exec(line);
    if (!row) throw new Error(`docs/api.md has a row that cannot be parsed: ${line}`);
    const [, field = '', support = '', accepted = ''] = row;
    const noOpValues = Array.from(accepted.matchAll(/`(.*?)`/g), ([, json = '']): unknown => JSON.parse(json));
    return [{ field, support, noOpValues }];
  });
}
