/** The command that copies the package's files, run in a package of a few bytes. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { scripts } from '../../../tools/build/files-beside.mjs';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'nearsight-bin-'));
  cpSync('bin', join(folder, 'package/bin'), { recursive: true });
  for (const file of [
    ...Object.values(scripts),
    'index.js',
    'ort/a.wasm',
    'THIRD_PARTY_NOTICES.txt',
    'glimpse/README.md',
    'glimpse/onnx/decoder.onnx',
  ])
    writePart(file, 'first');
});

afterEach(() => rmSync(folder, { recursive: true }));

function writePart(file: string, text: string): void {
  const path = join(folder, 'package/dist', file);
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, text);
}

function run(...args: string[]) {
  const script = join(folder, 'package/bin/nearsight.mjs');
  return spawnSync(process.execPath, [script, ...args], { cwd: folder, encoding: 'utf8' });
}

const copied = (to: string): string[] =>
  readdirSync(join(folder, to), { recursive: true, encoding: 'utf8' }).filter((name) =>
    /\.(js|wasm|onnx|txt|md)$/.test(name),
  );

test('copies the worker and ONNX Runtime, and prints sizes and the option', () => {
  const { status, stdout, stderr } = run('assets', 'public/nearsight');
  expect([status, stderr]).toEqual([0, '']);
  expect(copied('public/nearsight').toSorted()).toEqual(
    ['THIRD_PARTY_NOTICES.txt', 'ort/a.wasm', ...Object.values(scripts)].toSorted(),
  );
  expect(stdout).toMatch(/0\.0 MB {2}public\/nearsight\/worker\.js/);
  expect(stdout).toContain("createNearsight({ …, assets: '/nearsight/' })");
});

test('with --glimpse, also the toy model; a second run updates the files', () => {
  run('assets', 'public/nearsight', '--glimpse');
  writePart('ort/a.wasm', 'second');
  expect(run('assets', 'public/nearsight', '--glimpse').status).toBe(0);
  expect(copied('public/nearsight')).toEqual(
    expect.arrayContaining(['glimpse/onnx/decoder.onnx', 'glimpse/README.md']),
  );
  expect(readFileSync(join(folder, 'public/nearsight/ort/a.wasm'), 'utf8')).toBe('second');
});

test.each([
  ['public', "'/'"],
  ['static/a/b', "'/a/b/'"],
  ['web/root/vlm', "'/vlm/'"],
])('in %s the option is %s', (to, option) => {
  expect(run('assets', to).stdout).toContain(`assets: ${option}`);
});

test.each([
  [[], 'which command?'],
  [['asets', 'public'], "there is no command 'asets'"],
  [['assets'], 'which folder?'],
  [['assets', 'a', 'b'], 'one folder at a time'],
  [['assets', 'a', '--glimse'], "Unknown option '--glimse'"],
  [['assets', 'package/dist/worker.js'], 'EEXIST'],
])('%j is refused: %s', (args, message) => {
  const { status, stderr } = run(...args);
  expect(status).toBe(1);
  expect(stderr).toMatch(/^nearsight: /);
  expect(stderr).toContain(message);
  expect(stderr).toContain('Usage: npx nearsight assets');
});

test('--help shows the usage; a package that is not built is named', () => {
  expect(run('--help')).toMatchObject({ status: 0, stdout: expect.stringContaining('Usage: npx nearsight assets') });
  rmSync(join(folder, 'package/dist'), { recursive: true });
  expect(run('assets', 'public').stderr).toContain('build the package first');
});
