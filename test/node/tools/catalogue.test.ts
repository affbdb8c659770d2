import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import listed from '../../../models/glimpse/files.json' with { type: 'json' };
import { knownModels } from '../../../models/index.ts';
import type { ModelSpec } from '../../../src/protocol/model-spec.ts';
import { specAsCode } from '../../../tools/catalogue/print-spec.mjs';
import { type Hub, startHub } from '../../hub/hub-server.ts';

const COMMIT = '1234567890123456789012345678901234567890';
const folder = mkdtempSync(join(tmpdir(), 'nearsight-catalogue-'));
let hub: Hub;

beforeAll(async () => {
  const files = Object.fromEntries(listed.map(({ path }) => [path, `models/glimpse/${path}`]));
  const unknown = { ...files, 'config.json': new TextEncoder().encode('{"model_type":"florence2"}') };
  hub = await startHub({
    repositories: [
      { id: 'org/Tiny-VLM.2', revisions: { [COMMIT]: files }, branches: { main: COMMIT, v1: COMMIT }, license: 'mit' },
      { id: 'org/unknown', revisions: { [COMMIT]: unknown }, branches: { main: COMMIT } },
    ],
  });
});

afterAll(async () => {
  await hub.close();
  rmSync(folder, { recursive: true });
});

const run = (...args: string[]) =>
  new Promise<{ code: unknown; stdout: string; stderr: string }>((resolve) => {
    execFile(process.execPath, ['tools/catalogue.mjs', ...args], (error, stdout, stderr) =>
      resolve({ code: error?.code ?? 0, stdout, stderr }),
    );
  });

/** What the printed code exports. */
async function evaluate(code: string): Promise<Record<string, ModelSpec>> {
  const file = join(folder, 'spec.mjs');
  writeFileSync(file, code.replace(/^import .*\n/, '').replace(': ModelSpec', ''));
  return (await import(pathToFileURL(file).href)) as Record<string, ModelSpec>;
}

test('a repository is printed as a spec that pins it', async () => {
  const { code, stdout, stderr } = await run('org/Tiny-VLM.2', '--revision', 'v1', '--base-url', hub.origin);
  expect([code, stderr]).toEqual([0, '']);
  expect(stdout).toContain("import type { ModelSpec } from 'nearsight';\n\nexport const tinyVLM2: ModelSpec = {");
  expect(stdout.split('\n').every((line) => line.length <= 120)).toBe(true);
  // The mirror was asked; the spec names the hub.
  expect(stdout).not.toContain(hub.origin);
  const { tinyVLM2: spec } = await evaluate(stdout);
  expect(spec).toMatchObject({
    format: 1,
    id: 'org/Tiny-VLM.2',
    modelType: 'idefics3',
    repository: 'org/Tiny-VLM.2',
    revision: COMMIT,
    licence: { spdx: 'MIT', restricted: false },
    variants: [{ dtype: 'q4f16' }, { dtype: 'q4' }],
  });
  const find = (path: string) => listed.find((file) => file.path === path);
  expect(spec?.files.length).toBe(7);
  for (const file of spec?.files ?? []) expect(file).toEqual(find(file.path));
  expect(spec?.variants[1]?.graphs.vision).toEqual({ file: find('onnx/vision_encoder_q4.onnx'), data: [] });
});

test('without a repository, all models that we know of are printed', async () => {
  const { code, stdout, stderr } = await run();
  expect([code, stderr]).toEqual([0, '']);
  expect(stdout).toContain('SmolVLM-256M: The smallest');
  expect(stdout).toContain('192 MB, or 211 MB without shader-f16');
  expect(stdout).toMatch(/licence {3}LFM Open License 1\.0: Commercial use is free only below/);
  expect(stdout.split('\n\n')).toHaveLength(knownModels.length);
});

test('what cannot be used is an error that says why', async () => {
  const unknown = await run('org/unknown', '--base-url', hub.origin);
  expect(unknown).toMatchObject({ code: 1, stdout: '' });
  expect(unknown.stderr).toMatch(
    /^catalogue: org\/unknown cannot run here: its model_type is 'florence2'. Known ones: idefics3/,
  );
  expect(await run('org/nothing', '--base-url', hub.origin)).toMatchObject({ code: 1, stdout: '' });
});

test.each([[['--dtype', 'q4']], [['one', 'two']], [['org/name', '--colour']]])('wrong arguments: %j', async (args) => {
  const { code, stderr } = await run(...args);
  expect(code).toBe(2);
  expect(stderr).toContain('Usage: npm run catalogue --');
});

test('nothing in a name leaves its string', async () => {
  const name = "'; process.exit(9); //\\\n`${process.exit(9)}`\u2028";
  const url = 'https://example.test/licence';
  const licence = { name, url, restricted: true };
  const spec = {
    format: 1,
    id: 'org/2b',
    licence,
    contextLength: 1_048_576,
    files: [],
    variants: [],
  } as unknown as ModelSpec;
  const code = specAsCode(spec);
  expect(code).toContain('1_048_576');
  writeFileSync(join(folder, 'other.mjs'), code.replace(/^import .*\n/, '').replace(': ModelSpec', ''));
  const module = (await import(pathToFileURL(join(folder, 'other.mjs')).href)) as Record<string, ModelSpec>;
  expect(module['model2b']?.licence).toEqual(licence);
});
