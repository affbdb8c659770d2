// @module-tag long
// @module-tag nightly-in-firefox
import { mkdir } from 'node:fs/promises';
import axe from 'axe-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { choose, DemoSite, lastText, openDemo, visit } from './demo-page.ts';
import { SmallModel } from './demo-small-model.ts';
import { browserName, type TestPage } from './harness/harness.ts';

// axe-core looks at each state of the demo, in light and dark. With NEARSIGHT_LONG=1 there are screenshots as well, at three
// widths, in .cache/demo/shots: for people to look at.
const model = new SmallModel();
const shots = `.cache/demo/shots-${browserName}`;
let site: DemoSite;

beforeAll(async () => {
  site = await DemoSite.start('looks', [model.plugin]);
  await mkdir(shots, { recursive: true });
});

afterAll(() => site.stop());

/** What axe-core finds in this state. */
async function look(demo: TestPage, state: string): Promise<string[]> {
  const found: string[] = [];
  // Firefox's driver cannot change the colour scheme.
  for (const scheme of browserName === 'chromium' ? ['light', 'dark'] : ['light']) {
    if (browserName === 'chromium') {
      await demo.page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
    }
    await demo.page.evaluate(axe.source);
    const violations = await demo.evaluate(async () => {
      const { violations } = await (globalThis as unknown as { axe: typeof axe }).axe.run();
      return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
    });
    found.push(...violations.map((violation) => `${state}, ${scheme}: ${violation}`));
    if (process.env['NEARSIGHT_LONG'] !== '1') continue;
    for (const width of [360, 768, 1280]) {
      await demo.page.setViewport({ width, height: 800 });
      await demo.page.screenshot({ path: `${shots}/${state}-${scheme}-${width}.png`, fullPage: true });
      const overflow = await demo.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      if (overflow > 0) found.push(`${state}: ${overflow} pixels too wide at ${width}`);
    }
    await demo.page.setViewport({ width: 1280, height: 800 });
  }
  return found;
}

/** An answer as data, with all that is folded away shown, and a schema that is refused. */
async function lookAtData(demo: TestPage): Promise<string[]> {
  await demo.page.click('#as-data');
  await demo.page.select('#ready', 'Receipt');
  await demo.page.click('#code summary');
  await demo.page.click('#ask');
  await lastText(demo, '.note:not(:empty)');
  const found = await look(demo, '2-data');
  await demo.page.click('#editor summary');
  await demo.page.type('#schema', '{');
  found.push(...(await look(demo, '2-data-no-schema')));
  await demo.page.click('#as-text');
  return found;
}

test('axe-core finds nothing in any state', async () => {
  await using demo = await openDemo(site.origin);
  const found = await look(demo, '1-first-visit');
  await demo.evaluate(() => Object.assign(document.querySelector('#picker')!, { open: true }));
  await demo.page.waitForFunction(() => /not stored/.test(document.querySelector('#models')?.textContent ?? ''));
  found.push(...(await look(demo, '2-picker')));
  await demo.evaluate(() => Object.assign(document.querySelector('#picker')!, { open: false }));
  found.push(...(await lookAtData(demo)));

  model.bytesPerSecond = 60_000;
  model.sent = 0;
  model.crawlsAfter = 2e6;
  await demo.page.click('#use-real');
  await demo.page.waitForFunction(() => / left/.test(document.querySelector('#status-text')?.textContent ?? ''));
  await demo.page.click('#suggestions button');
  found.push(...(await look(demo, '3-downloading')));
  await demo.page.click('#load');
  await demo.page.waitForFunction(() => /paused/.test(document.querySelector('#status-text')?.textContent ?? ''));
  found.push(...(await look(demo, '4-paused')));

  model.bytesPerSecond = Infinity;
  model.crawlsAfter = Infinity;
  model.gone = true;
  await demo.page.click('#load');
  await demo.page.waitForSelector('#status[data-state=failed]', { timeout: 100_000 });
  found.push(...(await look(demo, '5-failed')));
  model.gone = false;
  await visit(demo);
  await demo.page.click('#suggestions button');
  await lastText(demo, '.note');
  await demo.page.click('#suggestions button:nth-child(3)');
  await demo.page.waitForSelector('.turn:nth-child(2) .note:not(:empty)', { timeout: 100_000 });
  await demo.evaluate(() => Object.assign(document.querySelector('#picker')!, { open: true }));
  await choose(demo, 'LICENSE');
  await lastText(demo, '#notice:not([hidden])');
  found.push(...(await look(demo, '6-answered')));
  await demo.page.click('#measure > summary');
  await demo.page.click('#measure-run');
  await demo.page.waitForSelector('#measure-result:not([hidden])', { timeout: 100_000 });
  await demo.page.click('#measure-result summary');
  found.push(...(await look(demo, '7-measured')));
  expect(found).toEqual([]);
});
