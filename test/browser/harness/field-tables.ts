import { readFileSync } from 'node:fs';

/** What docs/api.md says of a field. */
export interface Row {
  field: string;
  support: string;
  /** Values of a refused field that are accepted. */
  noopValues: unknown[];
}

/** The tables of fields in docs/api.md, by their titles. */
export const TABLES: ReadonlyMap<string, Row[]> = new Map(
  readFileSync('docs/api.md', 'utf8')
    .split(/^## /m)
    .filter((section) => section.includes('| Support |'))
    .map((section) => [section.slice(0, section.indexOf('\n')), rowsOf(section)]),
);

function rowsOf(section: string): Row[] {
  return section.split('\n').flatMap((line) => {
    if (!line.startsWith('| `')) return [];
    const row = /^\| `(\w+)` \| (honoured|harmless|refused) \|.*?(?:Accepted: (.*?)\. )?\|$/.exec(line);
    if (!row) throw new Error(`docs/api.md has a row that is not understood: ${line}`);
    const [, field = '', support = '', accepted = ''] = row;
    const noopValues = Array.from(accepted.matchAll(/`(.*?)`/g), ([, json = '']): unknown => JSON.parse(json));
    return [{ field, support, noopValues }];
  });
}
