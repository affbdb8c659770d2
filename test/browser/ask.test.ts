// @module-tag nightly-in-firefox
import { execFileSync, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, inject, test } from 'vitest';
import listed from '../../models/glimpse/files.json' with { type: 'json' };
import { startHub } from '../hub/hub-server.ts';

// `npm run ask` as a process: standard output, standard error and exit code. It starts its own browser.

const browser = inject('browserName');
const question = ['demo/samples/dog.png', 'What is this?', '--browser', browser, '--max-tokens', '4'];

async function run(
  env: Record<string, string>,
  ...args: string[]
): Promise<{ code: number | null; out: string; err: string }> {
  const child = spawn(process.execPath, ['tools/ask.mjs', ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 110_000, // below the test's own time limit, so that the browser is closed
  });
  const ended = new Promise<number | null>((settle) => {
    child.once('close', settle);
  });
  const [code, out, err] = await Promise.all([ended, text(child.stdout), text(child.stderr)]);
  return { code, out, err };
}

test('streams the answer, then prints where it came from', async () => {
  const { code, out, err } = await run({}, ...question);
  expect(err).toContain('ask: ready');
  expect(out).toMatch(/^dog\nlocal · glimpse on wasm · first token after \d+ ms · ([\d.]+ tokens\/s|too short)/);
  expect(code).toBe(0);
});

test('--json prints one object and nothing else', { tags: ['long'] }, async () => {
  const { code, out } = await run({}, ...question, '--json', '--device', 'wasm');
  expect(code).toBe(0);
  expect(JSON.parse(out)).toEqual({
    answer: 'dog',
    origin: 'local',
    model: 'glimpse',
    device: 'wasm',
    ttftMs: expect.any(Number),
    tokensPerSecond: expect.toSatisfy((rate) => rate === null || rate > 0),
  });
});

test("a file that is not an image is refused with the library's message", { tags: ['long'] }, async () => {
  const { code, out, err } = await run({}, 'LICENSE', 'What is this?', '--browser', browser, '--json');
  expect(code).toBe(1);
  expect(out).toBe('');
  expect(err).toMatch(/^ask: The image at messages\[0\]\.content\[0\]\.image_url cannot be read: it is not a PNG/m);
});

/** A hub with glimpse, an empty folder to cache it in, and the arguments with which it is asked. */
async function openHub() {
  const files = Object.fromEntries(listed.map(({ path }) => [path, `models/glimpse/${path}`]));
  const commit = '0123456789abcdef0123456789abcdef01234567';
  const id = 'nearsight/glimpse';
  const hub = await startHub({ repositories: [{ id, revisions: { [commit]: files }, branches: { main: commit } }] });
  // The profile is kept there.
  const cache = await mkdtemp(join(tmpdir(), 'nearsight-cache-'));
  return { hub, cache, args: [...question, '--model', id, '--base-url', hub.origin] };
}

test('a repository on the hub is downloaded by the first run only', { tags: ['long'] }, async () => {
  const { hub, cache, args } = await openHub();
  const ask = () => run({ XDG_CACHE_HOME: cache }, ...args);
  try {
    const first = await ask();
    expect(first.out).toMatch(/^dog\nlocal · nearsight\/glimpse on wasm/);
    expect(hub.requests.length).toBeGreaterThan(5);
    // The second run does without it.
    await hub.close();
    const second = await ask();
    expect(second.err).toContain('ask: ready');
    expect(second.out).toMatch(/^dog\nlocal · nearsight\/glimpse on wasm/);
  } finally {
    await rm(cache, { recursive: true, force: true });
  }
});

test(
  'without a folder to keep it in, a model is downloaded for one run, which says why',
  { tags: ['long'] },
  async () => {
    const { hub, cache, args } = await openHub();
    try {
      // In the place of the folder. Firefox needs the one around it.
      await writeFile(join(cache, 'nearsight'), '');
      const { code, out, err } = await run({ XDG_CACHE_HOME: cache }, ...args);
      expect(err).toMatch(/^ask: ENOTDIR: .*, so nothing is kept of this run$/m);
      expect(out).toMatch(/^dog\nlocal/);
      expect(code).toBe(0);
    } finally {
      await hub.close();
      await rm(cache, { recursive: true, force: true });
    }
  },
);

test('when only npm is stopped, the command and its browser end as well', { tags: ['long'] }, async () => {
  const { hub, cache, args } = await openHub();
  // There is no answer that could end them.
  hub.fault({ kind: 'stall', after: 0, path: /\.onnx$/ });
  const child = spawn('npm', ['run', 'ask', '--', ...args], {
    env: { ...process.env, XDG_CACHE_HOME: cache },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 110_000,
  });
  try {
    let err = '';
    child.stderr.on('data', (chunk) => (err += String(chunk)));
    await expect.poll(() => err, { timeout: 100_000 }).toMatch(/^ask: downloading/m);
    const started = descendants(child.pid);
    expect(started.length).toBeGreaterThan(3); // npm, its shell, the command, the browser
    child.kill('SIGTERM');
    await expect.poll(() => started.filter((pid) => processes().has(pid)), { timeout: 60_000 }).toEqual([]);
  } finally {
    await hub.close();
    await rm(cache, { recursive: true, force: true });
  }
});

/** The parent of each process, without zombies. */
function processes(): Map<number, number> {
  const table = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,stat='], { encoding: 'utf8' });
  const rows = table.split('\n').map((row) => row.trim().split(/\s+/));
  return new Map(
    rows.filter(([, , state]) => state && !state.startsWith('Z')).map(([pid, parent]) => [Number(pid), Number(parent)]),
  );
}

/** A process and all its descendants. */
function descendants(root: number | undefined): number[] {
  const parents = processes();
  const isDescendant = (pid: number | undefined): boolean =>
    pid !== undefined && (pid === root || isDescendant(parents.get(pid)));
  return [...parents.keys()].filter(isDescendant);
}
