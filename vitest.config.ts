import { defineConfig } from 'vitest/config';
import { lavapipeEnvironment } from './tools/setup/lavapipe.mjs';

// Dawn in the node tests finds the software adapter, too. Workers inherit this; it must be set before they start.
Object.assign(process.env, lavapipeEnvironment());

/**
 * What a run leaves out is reported as skipped. A whole file is marked by `// @module-tag long`, which all `*.long.test.ts`
 * have; a test by its option `tags: ['long']`. Of two tags, the one that skips decides.
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

/** How long to look for what must come: on a busy machine, the second that is Vitest's own is short. */
const expect = { poll: { timeout: 30_000 } };

/** The same tests once in each browser: in Node, driving a page. One browser at a time, one file at a time. */
function inBrowser(name: 'chromium' | 'firefox', order: number) {
  return {
    test: {
      name,
      include: ['test/browser/**/*.test.ts'],
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
