// @module-tag long
// @module-tag nightly-in-firefox
import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { DemoSite, lastText, openDemo, visit } from './demo-page.ts';
import { SmallModel } from './demo-small-model.ts';
import type { TestPage } from './harness/harness.ts';

// The demo with a model that is downloaded into the store. Each test is a new visitor.
const model = new SmallModel();
let site: DemoSite;

beforeAll(async () => {
  site = await DemoSite.start('store', [model.plugin]);
});

afterAll(() => site.stop());

afterEach(() => {
  model.bytesPerSecond = Infinity;
  model.crawlsAfter = Infinity;
  model.gone = false;
});

const status = (demo: TestPage, words: RegExp): Promise<unknown> =>
  demo.page.waitForFunction(
    (source: string) => new RegExp(source).test(document.querySelector('#status-text')?.textContent ?? ''),
    { timeout: 100_000 },
    words.source,
  );

const facts = (demo: TestPage): Promise<string> =>
  demo.evaluate(() => document.querySelector('[data-model=smolvlm-256m] .facts')?.textContent ?? '');

async function openPicker(demo: TestPage): Promise<void> {
  await demo.evaluate(() => Object.assign(document.querySelector('#picker')!, { open: true }));
  await expect.poll(() => facts(demo)).not.toContain('checking');
}

test('from a first visit, one click and a question lead to an answer of the real model', async () => {
  await using demo = await openDemo(site.origin);
  expect(await lastText(demo, '#offer-text')).toMatch(/toy/);
  await demo.page.click('#use-real');
  await demo.page.click('#suggestions button');
  expect(await lastText(demo, '.note')).toMatch(/^smolvlm-256m, here on the CPU/);
  expect(await lastText(demo, '.answer')).toMatch(/dog/);
  expect(await demo.evaluate(() => document.querySelector<HTMLElement>('#offer')?.hidden)).toBe(true);

  // All requests of the visit, and all that it left behind.
  expect(demo.foreign).toEqual([]);
  const left = await demo.evaluate(() => Object.fromEntries(Object.entries(localStorage)));
  expect(left).toEqual({ 'nearsight-demo-model': 'smolvlm-256m' });
  await openPicker(demo);
  expect(await facts(demo)).toMatch(/^3\.1 MB · Apache-2\.0 · runs on the CPU.* · stored on this device$/);
});

test('a download is paused, and resumed after a reload without fetching anything twice', async () => {
  await using demo = await openDemo(site.origin);
  await demo.evaluate(() => {
    const said: string[] = [];
    const announcer = document.querySelector('#announcer')!;
    new MutationObserver(() => said.push(announcer.textContent)).observe(announcer, { childList: true });
    Object.assign(globalThis, { said });
  });
  model.sent = 0;
  model.crawlsAfter = 2.4e6;
  model.bytesPerSecond = 300_000;
  const start = performance.now();
  await demo.page.click('#use-real');
  await status(demo, /^Downloading SmolVLM-256M: 2\.[4-9] MB .* [78]\d\u00a0%/);
  const bar = await demo.evaluate(() => {
    const { position, ariaValueText, hidden } = document.querySelector<HTMLProgressElement>('#status-progress')!;
    return { position, ariaValueText, hidden };
  });
  expect(bar).toEqual({
    position: expect.toSatisfy((at) => at > 0.1 && at < 0.9),
    ariaValueText: expect.stringMatching(/^Downloading .* left$/),
    hidden: false,
  });
  const said = await demo.evaluate(() => (globalThis as unknown as { said: string[] }).said);
  const progress = said.filter((text) => text.startsWith('Downloading')).length;
  expect(progress).toBeGreaterThan(0);
  expect(progress).toBeLessThanOrEqual(1 + (performance.now() - start) / 5_000);

  await demo.page.click('#load'); // Pause
  await status(demo, /paused, .* of 3\.1 MB stored/);
  expect(await lastText(demo, '#load')).toBe('Resume');
  await visit(demo);
  await status(demo, /paused, .* of 3\.1 MB stored/);
  const stored = Number(/paused, ([\d.]+) MB of/.exec(await lastText(demo, '#status-text'))?.[1]) * 1e6;
  model.sent = 0;
  model.bytesPerSecond = Infinity;
  model.crawlsAfter = Infinity;
  await demo.page.click('#load');
  await status(demo, /ready on the CPU/);
  // The page rounds to tenths of a megabyte; a segment has 0.26 MB.
  expect(model.sent).toBeLessThan(3_070_000 - stored + 100_000);
  await demo.page.click('#suggestions button');
  expect(await lastText(demo, '.answer:not(.pending)')).toMatch(/dog/);
});

test('a stored model answers with the network cut, and outlives an update of the page', async () => {
  await using demo = await openDemo(site.origin);
  await demo.page.click('#use-real');
  await status(demo, /ready on the CPU/);
  await site.stop();
  try {
    await visit(demo);
    await status(demo, /is stored on this device/);
    await demo.page.click('#suggestions button');
    expect(await lastText(demo, '.note')).toMatch(/^smolvlm-256m, here/);
    expect(await lastText(demo, '.answer')).toMatch(/dog/);
  } finally {
    await site.restart();
  }
  await site.update('<meta name="new-version">');
  model.gone = true;
  // The new version takes over when no tab has the old one.
  await visit(demo);
  await demo.evaluate(async () => {
    const registration = await navigator.serviceWorker.ready;
    while (!registration.waiting) await new Promise((resolve) => setTimeout(resolve, 100));
  });
  await demo.page.goto('about:blank');
  await expect
    .poll(
      async () => {
        await visit(demo);
        const updated = await demo.evaluate(() => document.querySelector('meta[name=new-version]') !== null);
        if (!updated) await demo.page.goto('about:blank');
        return updated;
      },
      { timeout: 200_000 },
    )
    .toBe(true);
  await status(demo, /is stored on this device/);
  await demo.page.click('#suggestions button');
  expect(await lastText(demo, '.answer:not(.pending)')).toMatch(/dog/);
});

test('a model is deleted, and taken from a folder', async () => {
  await using demo = await openDemo(site.origin);
  await demo.page.click('#use-real');
  await status(demo, /ready on the CPU/);
  await openPicker(demo);
  await demo.page.click('[data-model=smolvlm-256m] button[aria-label^=Delete]');
  await expect.poll(() => facts(demo)).toMatch(/not stored$/);
  await status(demo, /a download of 3\.1 MB/);

  model.gone = true;
  const files = readdirSync('models/glimpse', { recursive: true, encoding: 'utf8' })
    .filter((path) => /\.(json|onnx)$/.test(path))
    .map((path) => ({ path, base64: readFileSync(`models/glimpse/${path}`, 'base64') }));
  const choose = (chosen: typeof files): Promise<void> =>
    demo.evaluate((chosen) => {
      const data = new DataTransfer();
      for (const { path, base64 } of chosen) {
        const file = new File([Uint8Array.from(atob(base64), (char) => char.charCodeAt(0))], path);
        Object.defineProperty(file, 'webkitRelativePath', { value: `glimpse/${path}` });
        data.items.add(file);
      }
      const input = document.querySelector<HTMLInputElement>('[data-model=smolvlm-256m] input[type=file]')!;
      // A folder cannot be chosen by a driver in every browser.
      Object.defineProperty(input, 'files', { value: data.files, configurable: true });
      input.dispatchEvent(new Event('change'));
    }, chosen);
  await choose(files.filter(({ path }) => !path.includes('decoder')));
  const problem = '[data-model=smolvlm-256m] .problem';
  await expect.poll(() => lastText(demo, problem)).toMatch(/^The files are not those .* onnx\/decoder_model_merged/);
  await choose(files);
  await expect.poll(() => facts(demo)).toMatch(/stored on this device$/);
  await demo.page.click('#suggestions button');
  expect(await lastText(demo, '.answer:not(.pending)')).toMatch(/dog/);
});
