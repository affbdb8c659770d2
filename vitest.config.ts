import { defineConfig } from 'vitest/config';
import { lavapipeEnvironment } from './tools/setup/lavapipe.mjs';

// So that Dawn in the node tests finds the software adapter. Set here, before Vitest's workers start and inherit it.
Object.assign(process.env, lavapipeEnvironment());

/**
 * Tests that a run leaves out are reported as skipped. `// @module-tag long` tags a whole file, as in all `*.long.test.ts`;
 * the option `tags: ['long']` tags a test. A test with two tags is skipped if either tag skips it.
 */
const tags = [
  {
    name: 'long',
    description: 'not in `npm test`, which takes 8 minutes',
    skip: process.env['NEARSIGHT_LONG'] !== '1',
    priority: 2,
  },
  {
    name: 'nightly',
    description: 'not in `npm run test:all`, which takes 40 minutes',
    skip: process.env['NEARSIGHT_NIGHTLY'] !== '1',
    priority: 1,
  },
];

/** Vitest's default of one second is too short on a busy machine. */
const expect = { poll: { timeout: 30_000 } };

/**
 * Files that `npm test` runs in the other browser only: each of them takes 30 seconds or more in this one. On WebGPU,
 * Chromium's software adapter needs half a minute for a load. `npm run test:all` runs every file in both.
 */
const NOT_IN_SHORT_RUN: Record<'chromium' | 'firefox', string[]> = {
  chromium: ['clients', 'http-format', 'prefix'],
  firefox: ['ask', 'demo', 'sampler/sampler'],
};

/** The browser tests in one browser: they run in Node and drive a page. One browser and one file at a time. */
function inBrowser(name: 'chromium' | 'firefox', order: number) {
  const short = process.env['NEARSIGHT_SHORT'] === '1';
  return {
    test: {
      name,
      include: ['test/browser/**/*.test.ts'],
      exclude: short ? NOT_IN_SHORT_RUN[name].map((file) => `test/browser/${file}.test.ts`) : [],
      globalSetup: 'test/browser/harness/setup.ts',
      fileParallelism: false,
      sequence: { groupOrder: order },
      expect,
      testTimeout: 120_000,
      hookTimeout: 120_000,
    },
  };
}

export default defineConfig({
  test: {
    tags,
    projects: [
      { test: { name: 'node', include: ['test/node/**/*.test.ts'], expect, testTimeout: 60_000 } },
      inBrowser('chromium', 1),
      inBrowser('firefox', 2),
    ],
  },
});
