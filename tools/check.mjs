/**
 * The static checks: format, lint, types, dead code, imports, ceilings, docstrings, workflows, budgets. All run, then it
 * fails on any.
 *
 *   node tools/check.mjs            (after a build: sizes and the tests' types look at dist)
 *   node tools/check.mjs --lines    only prints the code lines of each shipped room, as budgets.mjs has them
 */
import { existsSync } from 'node:fs';
import { exit } from 'node:process';
import { tooLong } from './check/ceilings.mjs';
import { importCycles } from './check/cycles.mjs';
import { missingDocstrings } from './check/docstrings.mjs';
import { forbiddenImports, lostRooms, repeatedWorkerURL } from './check/imports.mjs';
import { linesPerRoom, overLineBudget, together } from './check/lines.mjs';
import { repeatedNames } from './check/names.mjs';
import { overSizeBudget } from './check/sizes.mjs';
import { sourcesIn } from './check/sources.mjs';
import { badWorkflows } from './check/workflows.mjs';
import { tool } from './setup/command.mjs';

/** Every room has its own compiler settings: the page knows no worker globals, the worker no DOM. */
const rooms = ['src', 'worker', 'models', 'proxy', 'bin', 'demo', 'bench', 'tools', 'test', 'test/types'];

/** @param {readonly string[]} findings */
function none(findings) {
  for (const finding of findings) console.error(`  ${finding}`);
  return findings.length === 0;
}

const sources = ['src', 'worker', 'models', 'proxy', 'bin', 'demo', 'examples', 'bench', 'tools', 'test']
  .filter((folder) => existsSync(folder))
  .flatMap((folder) => sourcesIn(folder));

if (process.argv.includes('--lines')) {
  const lines = linesPerRoom(sources);
  for (const [room, count] of Object.entries(lines)) console.log(`  '${room}': ${count},`);
  console.log(`together: ${together(lines)}`);
  exit();
}

/** @type {Record<string, () => boolean | Promise<boolean>>} */
const checks = {
  format: () => tool('oxfmt', '--check'),
  lint: () => tool('oxlint'),
  'dead code': () => tool('knip'),
  imports: () => none([...forbiddenImports(sources), ...repeatedWorkerURL(sources), ...lostRooms(sources)]),
  'import cycles': () => none(importCycles(sources)),
  'file names': () => none(repeatedNames(sources)),
  ceilings: () => none(tooLong(sources)),
  docstrings: () => none(missingDocstrings()),
  workflows: async () => none(await badWorkflows()),
  'code lines': () => none(overLineBudget(sources)),
  sizes: () => none(overSizeBudget()),
};
for (const room of rooms.filter((folder) => existsSync(`${folder}/tsconfig.json`))) {
  checks[`types of ${room}`] = () => tool('tsc', '-p', room);
}

/** @type {string[]} */
const failed = [];
for (const [name, passes] of Object.entries(checks)) {
  console.log(`- ${name}`);
  if (!(await passes())) failed.push(name);
}
if (failed.length > 0) {
  console.error(`\nThe house check failed: ${failed.join(', ')}.`);
  exit(1);
}
