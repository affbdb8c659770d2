import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import { build } from 'vite';
import type { TestProject } from 'vitest/node';
import { launchBrowser } from '../../../tools/browser.mjs';

declare module 'vitest' {
  interface ProvidedContext {
    browserName: 'chromium' | 'firefox';
    /** The WebSocket endpoint of the browser that all files of this run share. */
    endpoint: string;
    /** The built test page. */
    pageFolder: string;
  }
}

/** Builds the test page from the built package and starts the browser, once for all test files of a project. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const browserName = project.name === 'firefox' ? 'firefox' : 'chromium';
  if (!existsSync('dist/index.js')) throw new Error('These tests drive the built package: run `npm run build` first.');
  // Two runs at the same time must not build into the same folder.
  const pageFolder = resolve(`.cache/test-page/${browserName}-${process.pid}`);
  await build({ configFile: 'test/browser/page/vite.config.ts', build: { outDir: pageFolder } });
  const browser = await launchBrowser(browserName);
  project.provide('browserName', browserName);
  project.provide('endpoint', browser.wsEndpoint());
  project.provide('pageFolder', pageFolder);
  const child = browser.process();
  // Firefox allows one session at a time: each test file connects in turn.
  await browser.disconnect();
  return async () => {
    child?.kill();
    await rm(pageFolder, { recursive: true });
  };
}
