/**
 * The whole test, from a fresh clone: setup, build, house check, node tests, both browsers.
 *
 *   node tools/test.mjs [--all] [--no-setup]
 *
 * `--all` adds the long tests (`*.long.test.ts`). Every stage runs even when an earlier one
 * failed: only the browsers need the build. The last line counts tests, and each stage as one.
 */
import { readFileSync, rmSync } from 'node:fs';
import { exit } from 'node:process';
import { succeeds } from './setup/command.mjs';

const report = '.cache/vitest.json';
const counts = { passed: 0, failed: 0, skipped: 0 };

/**
 * @param {string} title
 * @param {readonly string[]} args of node
 */
function stage(title, args) {
  console.log(`\n== ${title}`);
  const passed = succeeds(process.execPath, args);
  counts[passed ? 'passed' : 'failed']++;
  return passed;
}

/**
 * @param {boolean} all
 * @param {readonly string[]} projects of vitest.config.ts
 */
function vitest(all, projects) {
  console.log(`\n== tests in ${projects.join(', ')}${all ? ', long ones included' : ''}`);
  rmSync(report, { force: true });
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  /** @type {Record<string, string>} */
  const env = all ? { NEARSIGHT_LONG: '1' } : {};
  const passed = succeeds(
    process.execPath,
    ['node_modules/vitest/vitest.mjs', 'run', ...reporters, ...projects.map((name) => `--project=${name}`)],
    env,
  );
  const { numPassedTests, numFailedTests, numPendingTests } = JSON.parse(readFileSync(report, 'utf8'));
  counts.passed += numPassedTests;
  counts.skipped += numPendingTests;
  // A file that does not even load has no tests to count; it fails all the same.
  counts.failed += passed ? 0 : Math.max(1, numFailedTests);
}

const noSetup = process.argv.includes('--no-setup') ? ['--no-setup'] : [];
if (stage('setup', ['tools/setup.mjs', ...noSetup])) {
  const built = stage('build', ['tools/build.mjs']);
  stage('house check', ['tools/check.mjs']);
  vitest(process.argv.includes('--all'), built ? ['node', 'chromium', 'firefox'] : ['node']);
}
console.log(`\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
exit(counts.failed === 0 ? 0 : 1);
