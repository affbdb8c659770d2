#!/usr/bin/env node
/** `npx nearsight assets public/nearsight`: copies the files that the option `assets` names out of the package. */
import { cpSync, existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { argv } from 'node:process';
import { parseArgs } from 'node:util';

const usage = `Usage: npx nearsight assets FOLDER [--glimpse]

Copies the worker, ONNX Runtime and the licences of both into FOLDER, which your site must serve from its own origin, such as public/nearsight.
With --glimpse, also the toy model. Run it again after each update of the package.`;

const dist = join(import.meta.dirname, '../dist');

/** Folders whose content common frameworks serve from the site's root. */
const served = ['public', 'static', 'wwwroot', 'src/static'];

/** @param {string} path of a file or a folder */
function bytesOf(path) {
  const stat = statSync(path);
  /** @type {number} */
  let bytes = stat.isDirectory() ? 0 : stat.size;
  if (stat.isDirectory()) for (const name of readdirSync(path)) bytes += bytesOf(join(path, name));
  return bytes;
}

/**
 * The address at which a folder will probably be served.
 *
 * @param {string} folder
 */
function addressOf(folder) {
  const path = relative('.', folder)
    .split(sep)
    .join('/')
    .replace(/^(\.\.\/)+/, '');
  const root = served.find((each) => path === each || path.startsWith(`${each}/`));
  const inside = root === undefined ? path.replace(/^.*\//, '') : path.slice(root.length + 1);
  return inside ? `/${inside}/` : '/';
}

/**
 * @param {string} folder
 * @param {boolean} glimpse whether to copy the toy model as well
 * @throws if a file cannot be read or written
 */
function copyAssets(folder, glimpse) {
  if (!existsSync(join(dist, 'worker.js'))) throw new Error(`${dist} is not there: build the package first`);
  mkdirSync(folder, { recursive: true });
  const scripts = ['worker.js', 'store.js', 'grammar.js', 'group-queries.js', 'wasm-passes.js', 'transformers.js'];
  for (const part of [...scripts, 'ort', 'THIRD_PARTY_NOTICES.txt', ...(glimpse ? ['glimpse'] : [])]) {
    const from = join(dist, part);
    cpSync(from, join(folder, part), { recursive: true });
    console.log(`${(bytesOf(from) / 1e6).toFixed(1).padStart(6)} MB  ${join(folder, part)}`);
  }
  console.log(`\nIf your site serves this folder at ${addressOf(folder)}, that is all:\n`);
  console.log(`  createNearsight({ …, assets: '${addressOf(folder)}' })`);
}

/** @param {string[]} args */
function run(args) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { glimpse: { type: 'boolean', default: false }, help: { type: 'boolean', short: 'h', default: false } },
  });
  if (values.help) return console.log(usage);
  const [command, folder, ...rest] = positionals;
  if (command !== 'assets') throw new Error(command ? `there is no command '${command}'` : 'which command?');
  if (!folder) throw new Error('which folder? For example: npx nearsight assets public/nearsight');
  if (rest.length > 0) throw new Error(`one folder at a time, not also ${rest.join(', ')}`);
  copyAssets(folder, values.glimpse);
}

try {
  run(argv.slice(2));
} catch (error) {
  console.error(`nearsight: ${error instanceof Error ? error.message : String(error)}\n\n${usage}`);
  process.exitCode = 1;
}
