/**
 * The house check: format, lint, types, dead code, arrows, ceilings, docstrings, budgets. All run, then it fails on any.
 *
 *   node tools/check.mjs          (after a build: budgets and the tests' types look at dist)
 */
import { existsSync } from 'node:fs';
import { exit } from 'node:process';
import { forbiddenArrows } from './check/arrows.mjs';
import { overBudget } from './check/budgets.mjs';
import { tooLong } from './check/ceilings.mjs';
import { missingDocstrings } from './check/docstrings.mjs';
import { sourcesIn } from './check/sources.mjs';
import { tool } from './setup/command.mjs';

/** Every room has its own compiler settings: the page knows no worker globals, the worker no DOM. */
const rooms = ['src', 'worker', 'models', 'proxy', 'demo', 'bench', 'tools', 'test', 'test/types'];

/** @param {readonly string[]} findings */
function none(findings) {
  for (const finding of findings) console.error(`  ${finding}`);
  return findings.length === 0;
}

const sources = ['src', 'worker', 'models', 'proxy', 'demo', 'bench', 'tools', 'test']
  .filter((folder) => existsSync(folder))
  .flatMap(sourcesIn);

/** @type {Record<string, () => boolean>} */
const checks = {
  format: () => tool('oxfmt', '--check'),
  lint: () => tool('oxlint'),
  'dead code': () => tool('knip'),
  arrows: () => none(forbiddenArrows(sources)),
  ceilings: () => none(tooLong(sources)),
  docstrings: () => none(missingDocstrings()),
  budgets: () => none(overBudget()),
};
for (const room of rooms.filter((folder) => existsSync(`${folder}/tsconfig.json`))) {
  checks[`types of ${room}`] = () => tool('tsc', '-p', room);
}

const failed = Object.entries(checks)
  .filter(([name, passes]) => {
    console.log(`- ${name}`);
    return !passes();
  })
  .map(([name]) => name);
if (failed.length > 0) {
  console.error(`\nThe house check failed: ${failed.join(', ')}.`);
  exit(1);
}
