import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { scripts } from '../../../tools/build/files-beside.mjs';
import { libraryPage } from './library-doc.ts';

it('docs/library.md is up to date', async () => {
  await expect(libraryPage()).toMatchFileSnapshot('../../../docs/library.md');
});

/** Those that another page of docs explains, or whose name says all. */
const ELSEWHERE = ['Device', 'DialectName', 'ImageInput', 'JSONSchema', 'Policy'];

it('has a section for every exported type that its declarations name', () => {
  const page = libraryPage();
  const declared = [...page.matchAll(/^- `(.*?)`(?=:|$)/gm)].map(([, code = '']) => code).join(' ');
  const index = readFileSync('src/index.ts', 'utf8');
  const exported = [...index.matchAll(/export type \{([^}]*)\}/g)].flatMap(
    ([, names = '']) => names.match(/\w+/g) ?? [],
  );
  const named = exported.filter((name) => new RegExp(`\\b${name}\\b`).test(declared));
  expect(named.length).toBeGreaterThan(10);
  const sections = [...page.matchAll(/^## (\w+)$/gm)].map(([, name]) => name);
  expect(named.filter((name) => !sections.includes(name) && !ELSEWHERE.includes(name))).toEqual([]);
  // One meaning of each.
  expect(new Set(sections).size).toBe(sections.length);
});

it('names every script that must lie beside the worker', () => {
  const worker = /^- `worker\?: .*$/m.exec(libraryPage())?.[0];
  for (const script of Object.values(scripts)) expect(worker).toContain(`\`${script}\``);
});
