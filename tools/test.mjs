/**
 * Everything, also from a fresh clone: setup, build, house check, node tests, tests in both browsers.
 *
 *   node tools/test.mjs [--all | --nightly | --faults] [--no-setup]
 *
 * On two cores it takes 9 minutes, or 40 with `--all`, which adds the tests tagged `long` (vitest.config.ts). `--nightly`
 * also adds those tagged `nightly`. `--faults` runs only the tests of what can go wrong with stored models and GPUs. Every
 * stage runs even if an earlier one failed, but browser tests need the build. The last lines name the tests that failed, and
 * count the tests, and each stage as one.
 */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { argv, execPath, exit } from 'node:process';
import { succeeds, succeedsBeside } from './setup/command.mjs';

const faultTests = ['test/browser/faults.long.test.ts', 'test/browser/gpu-loss.long.test.ts'];

/** Tests of how long a task takes: nothing runs beside them. */
const timedTests = ['test/browser/main-thread.test.ts'];
const secondEngine = 'test/browser/second-engine';
const [faults, nightly] = [argv.includes('--faults'), argv.includes('--nightly')];
const long = faults || nightly || argv.includes('--all');
const counts = { passed: 0, failed: 0, skipped: 0 };
let reports = 0;

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
 * @param {readonly string[]} which files, as Vitest's arguments; all of the project if empty
 * @returns {Promise<Results['testResults']>}
 */
async function vitest(project, which = []) {
  console.log(`\n== tests in ${project}${nightly ? ', all' : long ? ', including long ones' : ''}`);
  const report = `.cache/vitest-${project}-${++reports}.json`;
  rmSync(report, { force: true });
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  const passed = await succeedsBeside(
    execPath,
    ['node_modules/vitest/vitest.mjs', 'run', ...which, ...reporters, `--project=${project}`],
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
  return results.testResults.map((file) => ({
    ...file,
    name: `${file.name.slice(file.name.lastIndexOf('/test/') + 1)}  ${project}`,
  }));
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
    console.log(`${seconds.toFixed(0).padStart(5)}  ${name}`);
  }
}

/**
 * Prints each test that failed, with the beginning of its error: above, it is far away.
 *
 * @param {Results['testResults']} files
 */
function listFailed(files) {
  for (const { name, status, message, assertionResults } of files) {
    const failed = assertionResults.filter((test) => test.status === 'failed');
    if (status === 'failed') console.log(`\nFailed: ${name}  ${message.slice(0, 1000)}`);
    for (const { fullName, failureMessages } of failed) {
      console.log(`  ${fullName}\n    ${failureMessages.join('\n').slice(0, 1000)}`);
    }
  }
}

const start = Date.now();
const noSetup = argv.includes('--no-setup') ? ['--no-setup'] : [];
if (stage('setup', ['tools/setup.mjs', ...noSetup])) {
  const built = stage('build', ['tools/build.mjs']);
  if (!faults) stage('house check', ['tools/check.mjs']);
  const files = faults ? [] : await vitest('node');
  // Two at once: a browser test waits more than it computes, so alone it leaves the second core idle. Firefox has more tests.
  const untimed = timedTests.flatMap((file) => ['--exclude', file]);
  /** @type {[browser: string, which: string[]][][]} */
  const lanes = faults
    ? [[['chromium', faultTests]], [['firefox', faultTests]]]
    : [
        [
          ['chromium', untimed],
          ['firefox', [secondEngine]],
        ],
        [['firefox', [...untimed, '--exclude', `${secondEngine}/**`]]],
      ];
  const run = async (/** @type {typeof lanes[number]} */ lane) => {
    for (const [browser, which] of lane) files.push(...(await vitest(browser, which)));
  };
  if (built) {
    await Promise.all(lanes.map(run));
    for (const browser of faults ? [] : ['chromium', 'firefox']) await run([[browser, timedTests]]);
  }
  listSlowest(files);
  listFailed(files);
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
 * @property {TestFile[]} testResults
 *
 * @typedef {object} TestFile
 * @property {string} name its path
 * @property {string} status
 * @property {string} message why the file could not be run
 * @property {number} startTime ms
 * @property {number} endTime ms
 * @property {{ fullName: string, status: string, failureMessages: string[] }[]} assertionResults
 */
