// @module-tag long
/**
 * The packed tarball, installed in an application that is built in three ways and also served in development. Each
 * answers a question in a real browser as the Python reference does, under the strict policy.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createServer } from 'vite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { serve } from '../../tools/serve.mjs';
import { newTab, strictPolicy } from './harness/harness.ts';

const bin = resolve('node_modules/.bin');
const page = (script: string) =>
  `<!doctype html><title>application</title><script type="module" src="${script}"></script>`;

let workFolder: string;
let tarball: string;

/** A case of the golden file. */
const image = `data:image/gif;base64,${readFileSync('test/fixtures/glimpse/corner.gif', 'base64')}`;
const [question, right] = ['Where is the star?', 'top right'];

beforeAll(() => {
  workFolder = mkdtempSync(join(tmpdir(), 'nearsight-'));
  execFileSync('npm', ['pack', '--pack-destination', workFolder], { stdio: 'pipe' });
  tarball = join(workFolder, readdirSync(workFolder).find((name) => name.endsWith('.tgz')) ?? '');
});

afterAll(() => rmSync(workFolder, { recursive: true }));

/** A new application whose only dependency is the tarball. */
function newApplication(name: string): string {
  const folder = join(workFolder, name);
  cpSync('test/fixtures/application', folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, type: 'module' }));
  execFileSync('npm', ['install', '--ignore-scripts', '--offline', tarball], { cwd: folder, stdio: 'pipe' });
  return folder;
}

/** Serves a built application under the strict policy, and expects an answer. */
async function expectAnswer(folder: string): Promise<void> {
  const server = await serve(folder, { headers: { 'content-security-policy': strictPolicy } });
  try {
    await expectAnswerAt(server.origin);
  } finally {
    await server.close();
  }
}

async function expectAnswerAt(origin: string): Promise<void> {
  const tab = await newTab();
  const requests: string[] = [];
  tab.on('request', (request) => requests.push(request.url()));
  try {
    await tab.goto(`${origin}/`);
    await tab.waitForFunction(() => 'ask' in globalThis, { timeout: 60_000 });
    expect(await tab.evaluate(`ask(${JSON.stringify(image)}, ${JSON.stringify(question)})`)).toBe(right);
    expect(requests.filter((url) => !url.startsWith(origin) && !/^(data|blob|ws):/.test(url))).toEqual([]);
  } finally {
    await tab.close();
  }
}

test('a new Vite application, with no configuration', async () => {
  const folder = newApplication('vite');
  writeFileSync(join(folder, 'index.html'), page('/application.js'));
  execFileSync(join(bin, 'vite'), ['build', '--logLevel', 'warn'], { cwd: folder, stdio: 'pipe' });
  await expectAnswer(join(folder, 'dist'));
});

test("the same application on Vite's development server", async () => {
  const root = newApplication('vite-dev');
  writeFileSync(join(root, 'index.html'), page('/application.js'));
  const server = await createServer({ root, configFile: false, logLevel: 'warn', server: { host: '127.0.0.1' } });
  try {
    await server.listen(0);
    const url = server.resolvedUrls?.local[0];
    await expectAnswerAt(new URL(url ?? '').origin);
  } finally {
    await server.close();
  }
});

test('an esbuild application, with the runtime files copied next to its bundle', async () => {
  const folder = newApplication('esbuild');
  const built = join(folder, 'built');
  const options = ['--bundle', '--format=esm', '--splitting', `--outdir=${built}`];
  execFileSync(join(bin, 'esbuild'), ['application.js', ...options], { cwd: folder, stdio: 'pipe' });
  for (const part of ['worker.js', 'ort', 'glimpse']) {
    cpSync(join(folder, 'node_modules/nearsight/dist', part), join(built, part), { recursive: true });
  }
  writeFileSync(join(built, 'index.html'), page('/application.js'));
  await expectAnswer(built);
});

test('a page without a bundler', async () => {
  const folder = newApplication('plain');
  cpSync(join(folder, 'node_modules/nearsight/dist'), join(folder, 'site/nearsight'), { recursive: true });
  const source = readFileSync(join(folder, 'application.js'), 'utf8');
  const byURL = source
    .replace("'nearsight'", "'/nearsight/index.js'")
    .replace("'nearsight/glimpse'", "'/nearsight/glimpse.js'");
  writeFileSync(join(folder, 'site/application.js'), byURL);
  writeFileSync(join(folder, 'site/index.html'), page('/application.js'));
  await expectAnswer(join(folder, 'site'));
});
