/**
 * Everything, also from a fresh clone: setup, build, house check, node tests, tests in both browsers.
 *
 *   node tools/test.mjs [--all | --nightly | --faults] [--no-setup]
 *
 * On two cores it takes 9 minutes, or 40 with `--all`, which adds the tests tagged `long` (vitest.config.ts). `--nightly`
 * also adds those tagged `nightly`. `--faults` runs only the tests of what can go wrong with stored models and GPUs. Every
 * stage runs even if an earlier one failed, but browser tests need the build. Without long tests, both browsers run at the same
 * time. The last line counts the tests, and each stage as one.
 */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { argv, execPath, exit } from 'node:process';
import { succeeds, succeedsBeside } from './setup/command.mjs';

const faultTests = ['test/browser/faults.long.test.ts', 'test/browser/gpu-loss.long.test.ts'];
const [faults, nightly] = [argv.includes('--faults'), argv.includes('--nightly')];
const long = faults || nightly || argv.includes('--all');
const counts = { passed: 0, failed: 0, skipped: 0 };

/**
 * @param {string} title
 * @param {readonly string[]} args of node
 */
function stage(title, args) {
  console.log(`\n== ${title}`);
  const passed = succeeds(execPath, args);
  counts[passed ? 'passed' : 'failed']++;
  return passed;
}

/**
 * @param {string} project of vitest.config.ts
 * @param {typeof succeedsBeside} run
 * @returns {Promise<Results['testResults']>}
 */
async function vitest(project, run = async (...command) => succeeds(...command)) {
  const files = faults ? faultTests : [];
  console.log(`\n== tests in ${project}${nightly ? ', all' : long ? ', including long ones' : ''}`);
  const report = `.cache/vitest-${project}.json`;
  rmSync(report, { force: true });
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  const passed = await run(
    execPath,
    ['node_modules/vitest/vitest.mjs', 'run', ...files, ...reporters, `--project=${project}`],
    { NEARSIGHT_LONG: long ? '1' : '', NEARSIGHT_NIGHTLY: nightly || faults ? '1' : '' },
  );
  /** @type {Results} */
  const results = existsSync(report)
    ? JSON.parse(readFileSync(report, 'utf8'))
    : { numPassedTests: 0, numFailedTests: 0, numPendingTests: 0, testResults: [] };
  counts.passed += results.numPassedTests;
  counts.skipped += results.numPendingTests;
  // A file that fails to load reports no tests, but counts as a failure.
  counts.failed += passed ? 0 : Math.max(1, results.numFailedTests);
  return results.testResults.map((file) => ({ ...file, name: `${file.name}  ${project}` }));
}

/**
 * Prints the files that take the most time.
 *
 * @param {Results['testResults']} files
 */
function listSlowest(files) {
  console.log('\nThe slowest files, in seconds:');
  const timed = files.map(({ name, startTime, endTime }) => ({ name, seconds: (endTime - startTime) / 1000 }));
  for (const { name, seconds } of timed.toSorted((a, b) => b.seconds - a.seconds).slice(0, 8)) {
    console.log(`${seconds.toFixed(0).padStart(5)}  ${name.slice(name.lastIndexOf('/test/') + 1)}`);
  }
}

const start = Date.now();
const noSetup = argv.includes('--no-setup') ? ['--no-setup'] : [];
if (stage('setup', ['tools/setup.mjs', ...noSetup])) {
  const built = stage('build', ['tools/build.mjs']);
  if (!faults) stage('house check', ['tools/check.mjs']);
  const slow = faults ? [] : await vitest('node');
  const browsers = built ? ['chromium', 'firefox'] : [];
  if (long) {
    // Some long tests measure how long a task takes.
    for (const name of browsers) slow.push(...(await vitest(name)));
  } else {
    // A browser test waits more than it computes, so alone it leaves the second core idle.
    for (const files of await Promise.all(browsers.map((name) => vitest(name, succeedsBeside)))) slow.push(...files);
  }
  listSlowest(slow);
}
const minutes = ((Date.now() - start) / 60_000).toFixed(1);
console.log(`\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped in ${minutes} minutes`);
exit(counts.failed === 0 ? 0 : 1);

/**
 * The part of Vitest's report that is used.
 *
 * @typedef {object} Results
 * @property {number} numPassedTests
 * @property {number} numFailedTests
 * @property {number} numPendingTests
 * @property {{ name: string, startTime: number, endTime: number }[]} testResults
 */
