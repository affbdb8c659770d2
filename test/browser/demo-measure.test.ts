// @module-tag long-in-firefox
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DemoSite, lastText, openDemo, visit } from './demo-page.ts';
import { SmallModel } from './demo-small-model.ts';
import type { TestPage } from './harness/harness.ts';

// "Measure this device" in the built demo. Each test is a new visitor.
const model = new SmallModel();
let site: DemoSite;

beforeAll(async () => {
  site = await DemoSite.start('measure', [model.plugin]);
});

afterAll(() => site.stop());

async function openPanel(demo: TestPage): Promise<void> {
  await demo.page.click('#measure > summary');
}

async function loaded(demo: TestPage, button: string): Promise<void> {
  await demo.page.click(button);
  await demo.page.waitForSelector('#status[data-state=ready]', { timeout: 100_000 });
  await demo.page.waitForSelector('#measure-run:enabled');
}

async function measured(demo: TestPage) {
  await demo.page.click('#measure-run');
  await demo.page.waitForSelector('#measure-result:not([hidden])', { timeout: 100_000 });
  return demo.evaluate(() => ({
    rows: Array.from(document.querySelectorAll('#measure-rows tr'), (row) => row.textContent),
    bars: Array.from(document.querySelectorAll('#measure-rows .bar'), (bar) => bar.getBoundingClientRect().width),
    note: document.querySelector('#measure-note')!.textContent,
    json: JSON.parse(document.querySelector('#measure-json')!.textContent),
    button: document.querySelector('#measure-run')!.textContent,
  }));
}

test('the loaded model is measured: a chart, and a JSON with what it ran on', async () => {
  await using demo = await openDemo(site.origin);
  await openPanel(demo);
  expect(await demo.evaluate(() => document.querySelector<HTMLButtonElement>('#measure-run')!.disabled)).toBe(true);
  await loaded(demo, '#load');
  const { rows, bars, note, json, button } = await measured(demo);
  expect(rows).toEqual([
    expect.stringMatching(/^First token about a new image[\d.]+ m?s$/),
    expect.stringMatching(/^First token of a second question[\d.]+ m?s$/),
    expect.stringMatching(/^Each token after \d+ others[\d.]+ m?s$/),
    expect.stringMatching(/^Each token after \d+ others[\d.]+ m?s$/),
  ]);
  expect(Math.min(...bars)).toBeGreaterThan(0);
  expect(note).toMatch(/^glimpse \(\w+\) on \d+ wasm threads?\. Image: 640x480\./);
  expect(json).toMatchObject({
    model: 'glimpse',
    device: 'wasm',
    browser: expect.stringMatching(/Chrome|Firefox/),
    leftOut: [],
    disturbances: [],
    debugStats: { loaded: 'glimpse' },
  });
  const [image, , short, long] = json.rows;
  expect(image.samples.length).toBeGreaterThan(0);
  expect(short.tokens).toBeGreaterThan(80);
  expect(long.tokens).toBeGreaterThan(550);
  expect(button).toBe('Measure this device');
  expect(demo.foreign).toEqual([]);
});

test('it can be stopped; a tab that was in the background says so', { tags: ['long'] }, async () => {
  await using demo = await openDemo(site.origin);
  await openPanel(demo);
  await loaded(demo, '#load');
  await demo.evaluate(() => {
    const run = document.querySelector<HTMLButtonElement>('#measure-run')!;
    run.click();
    run.click();
  });
  await demo.page.waitForFunction(() => document.querySelector('#measure-hint')?.textContent === 'Stopped.');
  expect(await demo.evaluate(() => document.querySelector('#measure-result')!.checkVisibility())).toBe(false);

  await demo.page.waitForSelector('#measure-run:enabled');
  await demo.evaluate(() => Object.defineProperty(document, 'visibilityState', { value: 'hidden' }));
  const { note, json } = await measured(demo);
  expect(note).toMatch(/These times are too long: this tab was in the background meanwhile\.$/);
  expect(json.disturbances).toEqual(['this tab was in the background']);
});

test(
  'a model from the store is measured with its start; another model hides the result',
  { tags: ['long'] },
  async () => {
    await using demo = await openDemo(site.origin);
    await demo.page.click('#use-real');
    await demo.page.waitForSelector('#status[data-state=ready]', { timeout: 100_000 });
    await visit(demo);
    await openPanel(demo);
    await loaded(demo, '#load');
    const { rows, json } = await measured(demo);
    expect(rows[0]).toMatch(/^Start from the store[\d.]+ m?s$/);
    expect(json.startFromStoreMs).toBeGreaterThan(0);
    await demo.page.click('#picker > summary');
    await demo.page.click('[data-model=glimpse] .actions button');
    await demo.page.waitForSelector('#measure-result', { hidden: true });
    expect(await lastText(demo, '#status-text')).toMatch(/glimpse/);
  },
);
