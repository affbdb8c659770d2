import { defineConfig } from 'vitest/config';
import { lavapipeEnvironment } from './tools/setup/lavapipe.mjs';

// So that Dawn in the node tests finds the software adapter. Set here, before Vitest's workers start and inherit it.
Object.assign(process.env, lavapipeEnvironment());

const long = process.env['NEARSIGHT_LONG'] === '1';
const nightly = process.env['NEARSIGHT_NIGHTLY'] === '1';

/** `skip: false` is never written: of a test with two tags, it would undo what the other tag says. */
const skipUnless = (asked: boolean) => (asked ? {} : { skip: true });

/**
 * Tests that a run leaves out are reported as skipped. `// @module-tag long` tags a whole file, as in all `*.long.test.ts`;
 * the option `tags: ['long']` tags a test. A test with two tags is skipped if either tag skips it.
 *
 * @param project whose tests have the tags
 */
const tagsIn = (project: string) => [
  { name: 'long', description: 'not in `npm test`, which should stay short', ...skipUnless(long) },
  ...['chromium', 'firefox'].map((browser) => ({
    name: `long-in-${browser}`,
    description: `like long, in ${browser} only: slow there, or tested in the other browser`,
    ...skipUnless(long || project !== browser),
  })),
  ...['chromium', 'firefox'].map((browser) => ({
    name: `nightly-in-${browser}`,
    description: `like nightly, in ${browser} only`,
    ...skipUnless(nightly || project !== browser),
  })),
  { name: 'nightly', description: 'not in `npm run test:all`, which takes 40 minutes', ...skipUnless(nightly) },
];

/** Vitest's default of one second is too short on a busy machine. */
const expect = { poll: { timeout: 30_000 } };

/** The browser tests in one browser: they run in Node and drive a page. One file at a time. */
function inBrowser(name: 'chromium' | 'firefox', order: number) {
  return {
    test: {
      name,
      tags: tagsIn(name),
      include: ['test/browser/**/*.test.ts'],
      globalSetup: 'test/browser/harness/setup.ts',
      fileParallelism: false,
      isolate: false,
      sequence: { groupOrder: order },
      expect,
      // For what hangs: on a software GPU, a load alone takes half a minute on an idle machine.
      testTimeout: 300_000,
      hookTimeout: 300_000,
    },
  };
}

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'node',
          tags: tagsIn('node'),
          include: ['test/node/**/*.test.ts'],
          // Vitest's default leaves one core idle: of two, that is half the machine.
          maxWorkers: '100%',
          expect,
          testTimeout: 60_000,
          // Some start Dawn and onnxruntime.
          hookTimeout: 60_000,
        },
      },
      inBrowser('chromium', 1),
      inBrowser('firefox', 2),
    ],
  },
});
