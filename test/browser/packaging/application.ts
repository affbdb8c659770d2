/** Applications whose only own dependency is the packed tarball, built in temporary folders and opened in the browser. */
import { execFileSync, spawn } from 'node:child_process';
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect } from 'vitest';
import { serve } from '../../../tools/serve.mjs';
import { browserName, newTab, strictPolicy } from '../harness/harness.ts';

/** Where `npx nearsight assets public/nearsight` puts the files, as the application says it. */
export const ASSETS = { assets: '/nearsight/' };

const fixtures = 'test/fixtures/bundlers';

/** A case of the golden file. */
const image = `data:image/gif;base64,${readFileSync('test/fixtures/glimpse/corner.gif', 'base64')}`;
const [question, right] = ['Where is the star?', 'top right'];

let workFolder: string;
let tarball: string;

/** For the top of each test file: packs the package, and removes all applications afterwards. */
export function packFirst(): void {
  beforeAll(() => {
    workFolder = mkdtempSync(join(tmpdir(), 'nearsight-'));
    execFileSync('npm', ['pack', '--pack-destination', workFolder], { stdio: 'pipe' });
    tarball = join(workFolder, readdirSync(workFolder).find((name) => name.endsWith('.tgz')) ?? '');
  });
  afterAll(() => rmSync(workFolder, { recursive: true }));
}

/** The page of an application. */
export const pageOf = (script: string): string =>
  `<!doctype html><title>application</title><script type="module" src="${script}"></script>`;

/**
 * A new application with the tarball installed.
 *
 * @param bundler a folder of fixtures that pins the bundler and configures it; without one, the repository's is used, and
 *   nothing is fetched
 */
export function newApplication(name: string, bundler?: string): string {
  const folder = join(workFolder, name);
  if (bundler) cpSync(join(fixtures, bundler), folder, { recursive: true });
  cpSync(join(fixtures, 'application.js'), join(folder, 'application.js'));
  if (!bundler) writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, type: 'module' }));
  const network = bundler ? ['--prefer-offline'] : ['--offline'];
  run(folder, 'npm', 'install', '--ignore-scripts', '--no-package-lock', ...network, tarball);
  return folder;
}

/** Runs a command in an application's folder: one of its packages, or else of the repository, or one on the path. */
export function run(folder: string, command: string, ...args: string[]): string {
  const found = [join(folder, 'node_modules/.bin', command), resolve('node_modules/.bin', command)].find(existsSync);
  const env = { ...process.env, NEXT_TELEMETRY_DISABLED: '1', NODE_ENV: '' };
  return execFileSync(found ?? command, args, { cwd: folder, stdio: 'pipe', encoding: 'utf8', env });
}

/** The one step for any bundler. */
export function copyAssets(folder: string, to = 'public/nearsight'): void {
  expect(run(folder, 'nearsight', 'assets', to, '--glimpse')).toContain("assets: '/nearsight/'");
}

/** Serves a built application under the strict policy, and expects an answer. */
export async function expectAnswer(folder: string, options: object = {}, policy = strictPolicy): Promise<void> {
  expect(await askIn(folder, options, policy)).toBe(right);
}

/** Serves a built application and asks it: the answer, or the error's code and message. */
export async function askIn(folder: string, options: object = {}, policy = strictPolicy): Promise<string> {
  const server = await serve(folder, { headers: { 'content-security-policy': policy } });
  try {
    return await askAt(server.origin, options);
  } finally {
    await server.close();
  }
}

/** Asks an application that is served: the answer, or the error's code and message. Nothing may come from elsewhere. */
export async function askAt(origin: string, options: object = {}): Promise<string> {
  const tab = await newTab();
  const requests: string[] = [];
  const log: string[] = [];
  tab.on('request', (request) => requests.push(request.url()));
  tab.on('console', (message) => log.push(message.text()));
  tab.on('pageerror', (error) => log.push(String(error)));
  try {
    await tab.goto(`${origin}/`);
    // A development server may find a new dependency, and then reloads the page.
    await tab
      .waitForFunction(() => 'ask' in globalThis, { timeout: 60_000 })
      .catch((cause: unknown) => {
        throw new Error(`the application did not start:\n${log.join('\n')}`, { cause });
      });
    await sleep(500);
    const args = [image, question, options].map((each) => JSON.stringify(each)).join(', ');
    const answer = String(await tab.evaluate(`ask(${args})`));
    expect(requests.filter((url) => !url.startsWith(origin) && !/^(data|blob|ws):/.test(url))).toEqual([]);
    return answer;
  } finally {
    await tab.close();
  }
}

/** Expects an answer of an application that is served. */
export async function expectAnswerAt(origin: string, options: object = {}): Promise<void> {
  expect(await askAt(origin, options)).toBe(right);
}

/** Starts a server of an application's own, such as `vite` or `next start`, and ends it after `work`. */
export async function withServer<T>(
  folder: string,
  command: string,
  args: (port: string) => string[],
  work: (origin: string) => Promise<T>,
): Promise<T> {
  const port = String(await freePort());
  const env = { ...process.env, NEXT_TELEMETRY_DISABLED: '1', NODE_ENV: '' };
  // A group of its own, because some servers start others.
  const server = spawn(join(folder, 'node_modules/.bin', command), args(port), { cwd: folder, env, detached: true });
  const output: string[] = [];
  for (const stream of [server.stdout, server.stderr]) stream.on('data', (text) => output.push(String(text)));
  try {
    const origin = `http://127.0.0.1:${port}`;
    await expect
      .poll(
        () =>
          fetch(origin).then(
            ({ status }) => status,
            () => output.join(''),
          ),
        { timeout: 120_000, interval: 500 },
      )
      .toBe(200);
    return await work(origin);
  } finally {
    // Servers that are asked to end, such as `next dev`, go on writing for a while.
    if (server.pid !== undefined) process.kill(-server.pid, 'SIGKILL');
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => server.close(done));
  return port;
}

/** Notes a bundler that works, for the log of a release, if `NEARSIGHT_PACKAGING_LOG` names a file. */
export function note(folder: string, bundler: string, how: string, start: number): void {
  const file = process.env['NEARSIGHT_PACKAGING_LOG'];
  if (!file) return;
  const home = existsSync(join(folder, 'node_modules', bundler)) ? folder : '.';
  const { version } = JSON.parse(readFileSync(join(home, 'node_modules', bundler, 'package.json'), 'utf8'));
  const seconds = ((Date.now() - start) / 1000).toFixed(0);
  appendFileSync(file, `${browserName}: ${bundler} ${version}, ${how}: passed in ${seconds} s\n`);
}
