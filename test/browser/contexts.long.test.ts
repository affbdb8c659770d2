// @module-tag long
/** Contexts that need a browser of their own: its settings cannot be changed while it runs. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launchBrowser, type LaunchOptions } from '../../tools/browser.mjs';
import { ContextServer, refused, tryIn, works, writeExtension, type Outcome, type Place } from './harness/contexts.ts';
import { browserName } from './harness/harness.ts';

let server: ContextServer;
let folder: string;

beforeAll(async () => {
  server = await ContextServer.start();
  folder = await mkdtemp(join(tmpdir(), 'nearsight-'));
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

/** A Chromium profile with these preferences. */
async function makeProfile(preferences: object): Promise<string[]> {
  const profile = await mkdtemp(join(folder, 'profile-'));
  await mkdir(join(profile, 'Default'));
  await writeFile(join(profile, 'Default/Preferences'), JSON.stringify(preferences));
  return [`--user-data-dir=${profile}`];
}

async function tryWith(options: LaunchOptions, ...places: Place[]): Promise<Outcome[]> {
  const browser = await launchBrowser(browserName, options);
  try {
    const page = await browser.newPage();
    const outcomes: Outcome[] = [];
    for (const place of places) outcomes.push(await tryIn(place, page, server.origin));
    return outcomes;
  } finally {
    await browser.close();
  }
}

test('where the visitor blocks site data, in a page and in a cross-site frame', async () => {
  const flags = await makeProfile({ profile: { default_content_setting_values: { cookies: 2 } } });
  const preferences = { 'network.cookie.cookieBehavior': 2 };
  expect(await tryWith({ flags, preferences }, 'page', 'cross-site frame')).toEqual([works, works]);
});

test('in a private window, in a page and in a cross-site frame', async () => {
  const preferences = { 'browser.privatebrowsing.autostart': true };
  expect(await tryWith({ flags: ['--incognito'], preferences }, 'page', 'cross-site frame')).toEqual([works, works]);
});

test('without JIT, or with WebAssembly turned off', async () => {
  const before = server.downloads.length;
  const preferences = { 'javascript.options.wasm': false };
  const [outcome] = await tryWith({ flags: ['--js-flags=--jitless'], preferences }, 'page');
  expect(outcome).toEqual(refused(expect.stringMatching(/no WebAssembly.*no JIT/)));
  expect(server.downloads.slice(before)).toEqual([]);
});

test("in an extension's page it works, with the extension's own images; a service worker as its background is refused", async () => {
  const extension = await mkdtemp(join(folder, 'extension-'));
  await writeExtension(extension, server);
  const browser = await launchBrowser(browserName, { extensions: true });
  try {
    await browser.installExtension(extension);
    await expect.poll(() => Object.keys(server.reports).toSorted()).toEqual(['background', 'page']);
  } finally {
    await browser.close();
  }
  const inServiceWorker = refused(expect.stringContaining('(ServiceWorkerGlobalScope)'));
  expect(server.reports).toEqual({ page: works, background: browserName === 'firefox' ? works : inServiceWorker });
});
