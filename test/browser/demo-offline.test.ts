// @module-tag long
// @module-tag nightly-in-firefox
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'puppeteer-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launchBrowser } from '../../tools/browser.mjs';
import { DemoSite } from './demo-page.ts';
import { browserName } from './harness/harness.ts';

// The demo with the network really cut: its server is stopped. In a browser of its own, because the profile must outlive it.
let site: DemoSite;
let profile: string;

beforeAll(async () => {
  site = await DemoSite.start('offline');
  profile = await mkdtemp(join(tmpdir(), 'nearsight-profile-'));
});

afterAll(async () => {
  await site.stop();
  await rm(profile, { recursive: true, force: true });
});

/** Opens the page and asks the first suggested question. */
async function visit(browser: Browser): Promise<{ answer: string; isolated: boolean; page: Page }> {
  const page = await browser.newPage();
  await page.goto(`${site.origin}/?device=wasm`);
  await page.waitForFunction(() => document.querySelector<HTMLImageElement>('#image')?.complete === true);
  await page.waitForSelector('#suggestions button');
  // A click could miss a button that moves.
  await page.evaluate(() => document.querySelector<HTMLButtonElement>('#suggestions button')?.click());
  const answered = await page.waitForFunction(
    () => document.querySelector('.note:not(:empty)') && document.querySelector('.answer')?.textContent,
    { timeout: 100_000 },
  );
  const answer = String(await answered.jsonValue());
  return { answer, isolated: await page.evaluate(() => crossOriginIsolated), page };
}

test('after one visit it starts and answers with the network cut, also in a restarted browser', async () => {
  const first = await launchBrowser(browserName, { profile });
  try {
    const online = await visit(first);
    expect(online.answer).toMatch(/dog/);
    const kept = await online.page.evaluate(async () => {
      const names = await caches.keys();
      const requests = await Promise.all(names.map(async (name) => (await caches.open(name)).keys()));
      return requests.flat().map(({ url }) => new URL(url).pathname);
    });
    // Of onnxruntime's three builds, the one for the CPU.
    expect(kept.filter((path) => path.endsWith('.wasm'))).toEqual([
      expect.stringMatching(/\/ort-wasm-simd-threaded-[^.]+\.wasm$/),
    ]);
    await online.page.close();
    await site.stop();
    const offline = await visit(first);
    expect(offline.answer).toMatch(/dog/);
    // COOP and COEP came with the stored page and the stored scripts.
    expect(offline.isolated).toBe(true);
  } finally {
    await first.close();
  }
  const second = await launchBrowser(browserName, { profile });
  try {
    await expect(fetch(site.origin)).rejects.toThrow();
    const restarted = await visit(second);
    expect(restarted.answer).toMatch(/dog/);
    expect(restarted.isolated).toBe(true);
  } finally {
    await second.close();
  }
});
