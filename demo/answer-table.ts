import { make } from './elements.ts';
import type { Json } from './partial-json.ts';

/** Shows a value as a table: a row for each property or item, with tables in it. */
export function tableOf(value: Json | undefined, names: readonly string[]): HTMLTableElement {
  const table = make('table', 'fields');
  table.ariaLabel = 'Answer';
  if (isObject(value) || (value === undefined && names.length > 0)) {
    const shown = new Map<string, Json | undefined>(names.map((name) => [name, undefined]));
    for (const [name, item] of Object.entries(value ?? {})) shown.set(name, item);
    for (const [name, item] of shown) table.append(row(name, item));
  } else table.append(row('answer', value));
  return table;
}

/** A value in words, for screen readers. */
export function spoken(value: Json | undefined): string {
  if (Array.isArray(value)) return value.map(spoken).join(', ');
  if (!isObject(value)) return value === undefined || value === null ? 'nothing' : String(value);
  return Object.entries(value)
    .map(([name, item]) => `${name}: ${spoken(item)}`)
    .join('; ');
}

function row(name: string, value: Json | undefined): HTMLTableRowElement {
  const line = make('tr', '');
  const head = make('th', '', name);
  head.scope = 'row';
  const cell = make('td', '');
  cell.append(contentOf(value));
  line.append(head, cell);
  return line;
}

function contentOf(value: Json | undefined): Node {
  if (value === undefined) return make('span', 'missing', '…');
  if (Array.isArray(value)) return value.length > 0 && value.every(isObject) ? columnsOf(value) : listOf(value);
  if (isObject(value)) return listOf(Object.entries(value).map(([name, item]) => `${name}: ${spoken(item)}`));
  return document.createTextNode(value === null ? 'none' : String(value));
}

function listOf(items: readonly Json[]): HTMLElement {
  if (items.length === 0) return make('span', 'missing', 'empty');
  const list = make('ul', '');
  list.append(...items.map((item) => make('li', '', spoken(item))));
  return list;
}

/** Objects in an array, one a row. */
function columnsOf(objects: readonly Record<string, Json>[]): HTMLTableElement {
  const table = make('table', 'fields');
  const names = [...new Set(objects.flatMap((object) => Object.keys(object)))];
  const heads = names.map((name) => {
    const head = make('th', '', name);
    head.scope = 'col';
    return head;
  });
  const first = make('tr', '');
  first.append(...heads);
  const lines = objects.map((object) => {
    const line = make('tr', '');
    line.append(...names.map((name) => make('td', '', name in object ? spoken(object[name]) : '…')));
    return line;
  });
  table.append(first, ...lines);
  return table;
}

function isObject(value: Json | undefined): value is Record<string, Json> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
