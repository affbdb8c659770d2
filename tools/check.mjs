/**
 * The house check: format, lint, types of every room, arrows, sizes, docstrings, dead code.
 *
 *   node tools/check.mjs
 */
import { exit } from 'node:process';
import { succeeds } from './setup/command.mjs';

/** Every room has its own compiler settings: the page knows no worker globals, the worker no DOM. */
const rooms = ['src', 'worker', 'models', 'tools', 'test'];

/** @type {Record<string, () => boolean>} */
const checks = {
  format: () => succeeds('npx', ['--no-install', 'oxfmt', '--check']),
  lint: () => succeeds('npx', ['--no-install', 'oxlint', '--deny-warnings']),
  ...Object.fromEntries(
    rooms.map((room) => [`types of ${room}`, () => succeeds('npx', ['--no-install', 'tsc', '-p', room])]),
  ),
};

const failed = Object.entries(checks)
  .filter(([, passes]) => !passes())
  .map(([name]) => name);
if (failed.length > 0) {
  console.error(`check failed: ${failed.join(', ')}`);
  exit(1);
}
