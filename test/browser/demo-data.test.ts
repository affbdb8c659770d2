// @module-tag long
// @module-tag nightly-in-firefox
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DemoSite, lastText, openDemo as openDemoAt } from './demo-page.ts';
import type { TestPage } from './harness/harness.ts';

// Answers as data in the built demo, with the toy that comes with it. Each test is a new visitor.
let site: DemoSite;

beforeAll(async () => {
  site = await DemoSite.start('data');
});

afterAll(() => site.stop());

async function openData(): Promise<TestPage> {
  const demo = await openDemoAt(site.origin);
  await demo.page.click('#as-data');
  return demo;
}

/** Chooses a ready schema by its name. */
const chooseReady = (demo: TestPage, name: string): Promise<unknown> => demo.page.select('#ready', name);

/** Writes a schema into the editor. */
async function edit(demo: TestPage, schema: string): Promise<void> {
  await demo.evaluate((text) => {
    document.querySelector<HTMLDetailsElement>('#editor')!.open = true;
    const editor = document.querySelector<HTMLTextAreaElement>('#schema')!;
    editor.value = text;
    editor.dispatchEvent(new Event('input'));
  }, schema);
}

const state = (demo: TestPage) =>
  demo.evaluate(() => ({
    question: document.querySelector<HTMLTextAreaElement>('#question')!.value,
    problem: document.querySelector('#problem')!.textContent,
    invalid: document.querySelector('#schema')!.ariaInvalid,
    focused: document.activeElement?.id,
    turns: document.querySelectorAll('.turn').length,
  }));

test('a table has its rows from the start and fills while the answer comes; what came is valid', async () => {
  await using demo = await openData();
  await demo.evaluate(() => {
    const seen: string[] = [];
    const turns = document.querySelector('#turns')!;
    const note = (): void => {
      const cells = Array.from(turns.querySelectorAll('.fields > tr'), (row) => row.textContent);
      if (cells.length > 0 && seen.at(-1) !== cells.join('|')) seen.push(cells.join('|'));
    };
    new MutationObserver(note).observe(turns, { childList: true, subtree: true });
    Object.assign(globalThis, { seen });
  });
  const schema = {
    properties: {
      sure: { type: 'boolean' },
      sizes: { type: 'array', items: { enum: [1, 2] }, minItems: 3, maxItems: 3 },
    },
    required: ['sure', 'sizes'],
  };
  await edit(demo, JSON.stringify(schema));
  await demo.page.click('#ask');
  expect(await lastText(demo, '.note:not(:empty)')).toMatch(/^glimpse/);
  const seen = await demo.evaluate(() => (globalThis as unknown as { seen: string[] }).seen);
  expect(seen[0]).toMatch(/^sure(…|true|false)\|sizes…$/);
  expect(seen.at(-1)).toMatch(/^sure(true|false)\|sizes[12]{3}$/);
  expect(seen.length).toBeGreaterThan(2);
});

test('the toy knows the facts of the apples', async () => {
  await using demo = await openData();
  await demo.page.click('.sample:nth-child(2)');
  await chooseReady(demo, 'Facts');
  await demo.page.click('#ask');
  expect(await lastText(demo, '.note:not(:empty)')).toMatch(/^glimpse/);
  const rows = await demo.evaluate(() =>
    Array.from(document.querySelectorAll('.fields > tr'), (row) =>
      Array.from(row.children, (cell) => cell.textContent),
    ),
  );
  expect(Object.fromEntries(rows)).toEqual({ thing: 'red apple', group: 'fruit', background: 'white', count: '3' });
});

test('what is wrong with a schema is said at its editor, before and after the library saw it', async () => {
  await using demo = await openData();
  await edit(demo, '{ "enum": [');
  expect((await state(demo)).problem).toMatch(/^This is not JSON yet: /);
  await demo.page.click('#ask');
  expect(await state(demo)).toMatchObject({ invalid: 'true', focused: 'schema', turns: 0 });

  await edit(demo, '{ "properties": { "a": { "not": { "type": "null" } } } }');
  expect(await state(demo)).toMatchObject({ invalid: 'false', problem: '' });
  await demo.page.click('#ask');
  expect(await lastText(demo, '.answer.failed')).toBe('This schema cannot be enforced.');
  expect(await state(demo)).toMatchObject({
    invalid: 'true',
    focused: 'schema',
    problem: expect.stringMatching(/^This schema cannot be used: 'not' at #\/properties\/a cannot be enforced: /),
  });
});

test('the code is the request that is sent', async () => {
  await using demo = await openData();
  await demo.page.click('#code summary');
  expect(await lastText(demo, '#request')).toMatch(/'Is this an animal\?'[^]*"guided_choice": \[\s+"yes",\s+"no"/);
  await chooseReady(demo, 'Receipt');
  const code = await lastText(demo, '#request');
  expect(code).toMatch(/'Read this receipt\.'[^]*"json_schema": [^]*"merchant"[^]*JSON\.parse\(/);
  // It is JavaScript: only the imports are left out, which a function cannot have.
  const body = code.replaceAll(/^import .*$/gm, '').replace('await ', '');
  expect(() => new Function('createNearsight', 'OpenAI', 'glimpse', body)).not.toThrow();
});
