import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ProgressLine } from '../../../tools/ask/progress.mjs';

// The argument checks of `npm run ask`, before it starts a browser. test/browser/ask.test.ts has the rest.

describe('wrong arguments give an error and the usage', () => {
  test.each([
    [[], /An image and a question are needed/],
    [['demo/samples/dog.png'], /An image and a question are needed/],
    [['demo/samples/dog.png', ' '], /An image and a question are needed/],
    [['demo/samples', 'What is this?'], /demo\/samples is a folder, not an image/],
    [['nowhere.png', 'What is this?'], /There is no file .*nowhere\.png/],
    [['https://example.com/cat.png', 'What is this?'], /IMAGE is a file on this machine, not an address/],
    [['demo/samples/dog.png', 'What', 'is', 'this?'], /put the question in quotes/],
    [['demo/samples/dog.png', 'What is this?', '--browser', 'safari'], /--browser is one of chromium, firefox/],
    [
      ['demo/samples/dog.png', 'What is this?', '--model', 'demo'],
      /--model is glimpse, smolvlm-256m, org\/name on the hub, or a folder/,
    ],
    [['demo/samples/dog.png', 'What is this?', '--model', 'demo/samples'], /or a folder with a config\.json/],
    [
      ['demo/samples/dog.png', 'What is this?', '--model', 'smolvlm-256m', '--base-url', '/models/'],
      /--base-url is the http or https address/,
    ],
    [
      ['demo/samples/dog.png', 'What is this?', '--base-url', 'https://example.com/'],
      /--base-url is for models that are downloaded/,
    ],
    [
      ['demo/samples/dog.png', 'What is this?', '--model', 'models/glimpse', '--base-url', 'https://example.com/'],
      /--base-url is for models that are downloaded; .*models.glimpse is here already/,
    ],
    [['demo/samples/dog.png', 'What is this?', '--max-tokens', '0'], /--max-tokens is a number from 1 on/],
    [['demo/samples/dog.png', 'What is this?', '--colour'], /Unknown option '--colour'/],
  ])('%j', (args, words) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, ['tools/ask.mjs', ...args], { encoding: 'utf8' });
    expect(stderr).toMatch(words);
    expect(stderr).toContain('Usage: npm run ask --');
    expect(stdout).toBe('');
    expect(status).toBe(2);
  });
});

test('on a terminal, the status has one line, which is cleared for the answer or an error', () => {
  const written: string[] = [];
  const progress = new ProgressLine({ isTTY: true, write: (text: string) => written.push(text) });
  progress.show({ state: 'idle' });
  progress.show({ state: 'downloading', loadedBytes: 1e6, totalBytes: 3e6 });
  progress.show({ state: 'ready' });
  // The answer is written now. Its end is a change of the status as well.
  progress.show({ state: 'ready' });
  progress.clear();
  expect(written).toEqual(['\r\x1b[Kdownloading 1.0 of 3.0 MB', '\r\x1b[K']);

  progress.show({ state: 'preparing', done: 1, of: 5 });
  progress.show({ state: 'failed' });
  expect(written.slice(2)).toEqual(['\r\x1b[Kpreparing step 1 of 5', '\r\x1b[K']);
  progress.show({ state: 'preparing', done: 2, of: 5 });
  progress.clear(); // as when the browser dies
  expect(written.at(-1)).toBe('\r\x1b[K');
});

test('--help prints the usage', () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['tools/ask.mjs', '--help'], { encoding: 'utf8' });
  expect(stdout).toMatch(/^Usage: npm run ask --.*--base-url/s);
  expect(stderr).toBe('');
  expect(status).toBe(0);
});

// Other systems have fixed paths where browsers are found.
test.skipIf(process.platform !== 'linux')('--no-setup refuses to install the browser that is missing', () => {
  const home = mkdtempSync(join(tmpdir(), 'nearsight-home-'));
  try {
    const env = { HOME: home, PATH: home };
    const args = ['tools/ask.mjs', 'demo/samples/dog.png', 'What is this?', '--browser', 'firefox', '--no-setup'];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { env, encoding: 'utf8' });
    expect(stderr).toMatch(/--no-setup forbids this step: .*firefox/);
    expect(stderr).not.toContain('chromium');
    expect(stdout).toBe('');
    expect(status).toBe(1);
  } finally {
    rmSync(home, { recursive: true });
  }
});
